/** Datagrams to a unix socket (unix(7)), which the runtimes' own functions lack. */
import { loadLibc } from "./libc.ts";
import { errnoName, systemError } from "./system_error.ts";

// linux/socket.h, asm-generic/socket.h
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Bytes for a path in `struct sockaddr_un`. */
const PATH_SIZE = 108;

/** Somewhere to send datagrams to. */
export interface NotifySocket {
  /** Sends one datagram, without waiting. @throws SystemError */
  send(text: string): void;
  close(): void;
}

/**
 * The bytes of `struct sockaddr_un`, as many as count.
 * @param address a path, or `@` and a name that is in no file system (unix(7), "abstract")
 * @throws Error when it is neither, or too long
 */
export function unixAddress(address: string): Uint8Array {
  const name = new TextEncoder().encode(address);
  const abstract = address.startsWith("@");
  if (!abstract && !address.startsWith("/") || name.length < 2) {
    throw new Error(`${JSON.stringify(address)} is no address of a unix socket: expected /… or @…`);
  }
  // A path ends in a NUL, an abstract name begins with one.
  const length = name.length + (abstract ? 0 : 1);
  if (length > PATH_SIZE) throw new Error(`${address}: longer than ${PATH_SIZE} bytes`);
  const bytes = new Uint8Array(2 + length);
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  bytes.set(name, 2);
  if (abstract) bytes[2] = 0;
  return bytes;
}

/**
 * Opens a socket for datagrams to an address. Needs Bun's foreign function interface.
 * @throws Error when the address makes no sense, SystemError when there can be no socket
 */
export async function openNotifySocket(address: string): Promise<NotifySocket> {
  const to = unixAddress(address);
  const libc = await loadLibc({
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
    __errno_location: { args: [], returns: "ptr" },
  }, "send datagrams");
  const { read } = await import("bun:ffi");
  const failure = (call: string) => {
    const at = libc.__errno_location();
    const code = errnoName(at === null ? 0 : read.i32(at, 0));
    return systemError(code, `${code}: ${call} ${address}`);
  };
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw failure("socket");
  return {
    send(text) {
      const bytes = new TextEncoder().encode(text);
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      if (Number(libc.sendto(fd, bytes, bytes.length, flags, to, to.length)) < 0) {
        throw failure("send to");
      }
    },
    close: () => void libc.close(fd),
  };
}
