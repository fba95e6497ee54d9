/** The way to a store by its socket, which may be busy. */
import type { ByteStream, Clock } from "../../platform/types.ts";
import { SocketTransport } from "./socket_transport.ts";
import type { Transport } from "./transport.ts";

/**
 * How long a socket may refuse, in ms: xenstored listens with a backlog of 1. One that it has just
 * made, and does not listen on yet, refuses too.
 */
const REFUSED_PATIENCE_MS = 1_000;
const REFUSED_PAUSE_MS = 10;

export interface Connecting {
  readonly clock: Clock;
  connect(path: string): Promise<ByteStream>;
  /** Whether a refusal may be for now; asked when nobody seems to listen. */
  isSocket?(): Promise<boolean>;
}

/** Connects, and tries again for a while when it is refused. @throws SystemError */
export async function openSocket(path: string, how: Connecting): Promise<Transport> {
  const { clock, connect, isSocket } = how;
  const end = clock.now() + REFUSED_PATIENCE_MS;
  for (;;) {
    try {
      return new SocketTransport(await connect(path), path);
    } catch (error) {
      const { code } = error as { code?: string };
      const isBusy = code === "EAGAIN" || code === "ECONNREFUSED" && await isSocket?.() !== false;
      if (!isBusy || clock.now() > end) throw error;
      await new Promise<void>((resolve) => clock.after(REFUSED_PAUSE_MS, resolve));
    }
  }
}
