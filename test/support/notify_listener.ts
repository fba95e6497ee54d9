/** Plays the service manager: receives the datagrams that sd_notify(3) sends. */
import { dlopen } from "bun:ffi";
import { unixAddress } from "../../platform/io/unix_address.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;

/** What has come, in order. */
export interface NotifyListener {
  readonly messages: readonly string[];
  close(): void;
}

/** Listens at a path, or at a name that begins with `@`. */
export function listenForNotifications(address: string): NotifyListener {
  const { symbols: libc } = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
    recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
  });
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
  const name = unixAddress(address);
  if (libc.bind(fd, name, name.length) !== 0) throw new Error(`cannot listen at ${address}`);
  const messages: string[] = [];
  const buffer = new Uint8Array(4096);
  const look = setInterval(() => {
    for (;;) {
      const length = Number(libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT));
      if (length < 0) return;
      messages.push(new TextDecoder().decode(buffer.subarray(0, length)));
    }
  }, 5);
  return {
    messages,
    close() {
      clearInterval(look);
      libc.close(fd);
    },
  };
}
