/**
 * Unix stream sockets on the runtime's own interface. `sockets.ts` does the same on `node:net`, which
 * takes several times as long to load as a short program takes to run, and a few microseconds more
 * for each delivery.
 */
import type { ByteStream, ByteStreamHandlers } from "./types.ts";

/**
 * How long a stream that gathers leaves its peer alone, in ms. The kernel adds its timer slack, 50 µs
 * (prctl(2), PR_SET_TIMERSLACK), and waking takes its time: 0.16 to 0.2 in all.
 */
const GATHER_MS = 0.1;

const never = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

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
  let gathering = false;
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
    gather() {
      if (gathering) return;
      gathering = true;
      // Last in this turn of the event loop: answers to what has arrived are on their way by then.
      // No timer of the runtime's is this short. So the whole thread sleeps, for less time than
      // the next write to a file may take.
      setImmediate(() => {
        gathering = false;
        if (!closed) Atomics.wait(never, 0, 0, GATHER_MS);
      });
    },
    // The runtime tells of the end from within this.
    close: () => queueMicrotask(() => socket.terminate()),
  };
}
