/** Datagrams to a unix socket (unix(7)). */
import { closeFile } from "../io/file_calls.ts";
import { sys } from "../kernel.ts";
import { must } from "../system_error.ts";
import {
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SOCK_CLOEXEC,
  unixAddress,
} from "../io/unix_address.ts";

// linux/net.h
const SOCK_DGRAM = 2;

/** Somewhere to send datagrams to. */
export interface NotifySocket {
  /** Sends one datagram, without waiting. @throws SystemError */
  send(text: string): void;
  close(): void;
}

/**
 * Opens a socket for datagrams to an address.
 * @throws Error when the address makes no sense, SystemError when there can be no socket
 */
export async function openNotifySocket(address: string): Promise<NotifySocket> {
  const to = unixAddress(address);
  const fd = must(() => sys.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), `socket ${address}`);
  return {
    send(text) {
      const bytes = new TextEncoder().encode(text);
      must(() => sys.send(fd, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, to), `send to ${address}`);
    },
    close: () => closeFile(fd),
  };
}
