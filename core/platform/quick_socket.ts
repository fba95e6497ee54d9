/**
 * Unix stream sockets on the runtime's own interface. `sockets.ts` does the same on `node:net`, which
 * takes several times as long to load as a short program takes to run, and a few microseconds more
 * for each delivery.
 */
import { gatherer } from "./gather.ts";
import type { ByteStream, ByteStreamHandlers } from "./types.ts";

/**
 * Connects to a unix socket.
 * @throws SystemError (ENOENT, ECONNREFUSED, EACCES, …) when that fails
 */
export async function connectQuickly(path: string): Promise<ByteStream> {
  let handlers: ByteStreamHandlers | null = null;
  /** What the socket has not taken yet, and how many bytes that is. */
  let waiting: Uint8Array[] = [];
  let queued = 0;
  let failure: Error | null = null;
  let ended = false;
  /** What has come before anybody wanted it. */
  const early: Uint8Array[] = [];
  const finish = () => {
    if (ended || handlers === null) return;
    ended = true;
    handlers.closed(failure);
  };
  let closed = false;
  const flush = (): void => {
    let taken = 0;
    for (const bytes of waiting) {
      const written = Math.max(0, socket.write(bytes));
      queued -= written;
      if (written < bytes.length) {
        waiting[taken] = bytes.subarray(written);
        break;
      }
      taken++;
    }
    waiting = waiting.slice(taken);
  };
  const socket = await Bun.connect({
    unix: path,
    socket: {
      binaryType: "uint8array",
      data(_, chunk) {
        // The runtime may use the buffer again, and messages are views of it.
        const bytes = new Uint8Array(chunk);
        if (handlers === null) early.push(bytes);
        else handlers.data(bytes);
      },
      drain() {
        flush();
        if (waiting.length === 0) handlers?.drained?.();
      },
      error: (_, error) => void (failure = error),
      end: (ending) => void ending.end(),
      close() {
        closed = true;
        finish();
      },
    },
  });
  return {
    start(given) {
      handlers = given;
      queueMicrotask(() => {
        for (const bytes of early.splice(0)) given.data(bytes);
        if (closed) finish();
      });
    },
    write(bytes) {
      if (ended || closed) return;
      waiting.push(bytes);
      queued += bytes.length;
      if (waiting.length === 1) flush();
    },
    get queued() {
      return queued;
    },
    gather: gatherer(() => !closed),
    // The runtime tells of the end from within this.
    close: () => queueMicrotask(() => socket.terminate()),
  };
}
