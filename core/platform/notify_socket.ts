/** Datagrams to a unix socket (unix(7)), which the runtimes' own functions lack. */
import { loadLibc } from "./libc.ts";
import { AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, unixAddress } from "./unix_address.ts";

// linux/net.h
const SOCK_DGRAM = 2;

/** Somewhere to send datagrams to. */
export interface NotifySocket {
  /** Sends one datagram, without waiting. @throws SystemError */
  send(text: string): void;
  close(): void;
}

/**
 * Opens a socket for datagrams to an address. Needs Bun's foreign function interface.
 * @throws Error when the address makes no sense, SystemError when there can be no socket
 */
export async function openNotifySocket(address: string): Promise<NotifySocket> {
  const to = unixAddress(address);
  const libc = await loadLibc("send datagrams");
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw libc.failure(`socket ${address}`);
  return {
    send(text) {
      const bytes = new TextEncoder().encode(text);
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      if (libc.sendto(fd, bytes, bytes.length, flags, to, to.length) < 0) {
        throw libc.failure(`send to ${address}`);
      }
    },
    close: () => void libc.close(fd),
  };
}
