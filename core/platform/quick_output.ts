/**
 * Writing to the standard streams, for programs that end soon: without `node:fs`, which takes half as
 * long to load as the runtime takes to start.
 */
import { loadLibc } from "./libc.ts";

/** What a shell reports of a program that SIGPIPE ended, which the runtime ignores. */
const BROKEN_PIPE_STATUS = 141;
const FULL_PIPE_PAUSE_MS = 5;

/**
 * Writes all of a text of a character a byte, waiting for a slow reader. When the reader is gone, the
 * process ends, as programs do.
 * @throws SystemError (ENOSPC, EIO, …)
 */
export type WriteFully = (fd: 1 | 2, text: string) => void;

const functions = { write: { args: ["i32", "ptr", "usize"], returns: "i64" } } as const;

/** Loads what writes. */
export async function openOutput(): Promise<WriteFully> {
  const libc = await loadLibc(functions, "write").catch(() => null);
  return (fd, text) => {
    const bytes = Buffer.from(text, "latin1");
    for (let done = 0; done < bytes.length;) {
      const left = bytes.subarray(done);
      const written = Number(libc?.write(fd, left, left.length) ?? -1n);
      // What is wrong is told by those who know all of errno.
      done += written > 0 ? written : writeSlowly(fd, left);
    }
  };
}

function writeSlowly(fd: number, bytes: Uint8Array): number {
  try {
    return process.getBuiltinModule("node:fs").writeSync(fd, bytes);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "EPIPE") process.exit(BROKEN_PIPE_STATUS);
    if (code !== "EAGAIN") throw error;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_PAUSE_MS);
    return 0;
  }
}
