/**
 * Writing to the standard streams. Loads nothing before it is needed: `node:fs` takes half as long to
 * load as the runtime takes to start, and a hotplug script calls dozens of programs that say a line.
 */
import { type Libc, loadLibc } from "./libc.ts";
import { hasCode } from "./system_error.ts";

/** The standard output and the standard error. */
export type StandardStream = 1 | 2;

/** How long a reader that does not read is left alone, in ms. */
const FULL_PIPE_PAUSE_MS = 5;

let libc: Libc | null = null;

/**
 * Makes {@link writeFully} do without `node:fs`, for programs that end soon. Where there is no
 * foreign function interface it does with it.
 */
export async function prepareOutput(): Promise<void> {
  libc = await loadLibc("write").catch(() => null);
}

/**
 * Writes all of it, in order, waiting for a slow reader.
 * @returns whether there is still somebody who reads
 * @throws SystemError (ENOSPC, EIO, …)
 */
export function writeFully(fd: StandardStream, bytes: Uint8Array): boolean {
  try {
    for (let left = bytes; left.length > 0;) {
      const written = writeSome(fd, left);
      if (written === 0) pause();
      left = left.subarray(written);
    }
    return true;
  } catch (error) {
    if (hasCode(error, "EPIPE")) return false;
    throw error;
  }
}

/** Writes a text, likewise; when nobody reads, there is nobody to tell. */
export function printTo(fd: StandardStream, text: string): void {
  writeFully(fd, Buffer.from(text));
}

/** What writing fails with when nobody reads any more, a terminal is gone, or a disk is full. */
const NOWHERE = ["EPIPE", "EIO", "ENOSPC", "EDQUOT"] as const;

/**
 * The same for programs that have better things to do: what a slow reader, or a full disk, has no
 * room for is lost.
 */
export function printIfRoom(fd: StandardStream, text: string): void {
  try {
    writeSome(fd, Buffer.from(text));
  } catch (error) {
    if (!hasCode(error, ...NOWHERE)) throw error;
  }
}

/**
 * One short line to the standard output, for programs that say no more than that.
 * @returns false when that fails, which is said
 */
export async function printLine(line: string): Promise<boolean> {
  try {
    await Bun.write(Bun.stdout, `${line}\n`);
  } catch (first) {
    try {
      if (hasCode(first, "EAGAIN")) printTo(1, `${line}\n`);
      else if (!hasCode(first, "EPIPE")) throw first;
    } catch (error) {
      console.error(`xdevd: ${(error as Error).message}`);
      return false;
    }
  }
  return true;
}

/** @returns bytes written, 0 when there is no room @throws SystemError */
function writeSome(fd: StandardStream, bytes: Uint8Array): number {
  const written = libc === null ? -1 : libc.write(fd, bytes, bytes.length);
  if (written >= 0) return written;
  if (libc?.errorCode() === "EAGAIN") return 0;
  try {
    return process.getBuiltinModule("node:fs").writeSync(fd, bytes);
  } catch (error) {
    if (hasCode(error, "EAGAIN")) return 0;
    throw error;
  }
}

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_PAUSE_MS);
}
