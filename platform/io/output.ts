/** Writing to the standard streams. */
import { sys } from "../kernel.ts";
import { describeCode, errnoName, hasCode, systemError } from "../system_error.ts";

/** The standard output and the standard error. */
export type StandardStream = 1 | 2;

/** How long a reader that does not read is left alone, in ms. */
const FULL_PIPE_PAUSE_MS = 5;

// asm-generic/errno-base.h
const [EINTR, EAGAIN] = [4, 11];

/**
 * Writes all of it, in order, waiting for a slow reader.
 * @returns whether there is still somebody who reads
 * @throws SystemError (ENOSPC, EIO, …)
 */
export function writeFully(fd: number, bytes: Uint8Array): boolean {
  try {
    for (let left = bytes; left.length > 0;) {
      const written = writeSome(fd, left);
      if (written === 0) sys.poll(-1, 0, FULL_PIPE_PAUSE_MS);
      left = left.subarray(written);
    }
    return true;
  } catch (error) {
    if (hasCode(error, "EPIPE")) return false;
    throw error;
  }
}

/** Nobody reads the standard output any more: the program ends, as programs do. */
export class OutputClosed extends Error {
  override name = "OutputClosed";
  /** What a shell reports of a program that SIGPIPE ended, which the runtimes ignore. */
  static readonly status = 141;

  constructor() {
    super("nobody reads the standard output");
  }
}

/**
 * Writes a text, likewise. When nobody reads the standard error, there is nobody to tell.
 * @throws OutputClosed when nobody reads the standard output; SystemError
 */
export function printTo(fd: StandardStream, text: string): void {
  const isRead = writeFully(fd, new TextEncoder().encode(text));
  if (!isRead && fd === 1) throw new OutputClosed();
}

/** Writes a text, likewise, for what is to go on when nobody reads. @throws SystemError */
export function printAnyway(fd: StandardStream, text: string): void {
  writeFully(fd, new TextEncoder().encode(text));
}

/** What writing fails with when nobody reads any more, a terminal is gone, or a disk is full. */
const NOWHERE = ["EPIPE", "EIO", "ENOSPC", "EDQUOT"] as const;

/**
 * The same for programs that have better things to do: what a slow reader, or a full disk, has no
 * room for is lost.
 */
export function printIfRoom(fd: StandardStream, text: string): void {
  try {
    writeSome(fd, new TextEncoder().encode(text));
  } catch (error) {
    if (!hasCode(error, ...NOWHERE)) throw error;
  }
}

/**
 * One short line to the standard output, for programs that say no more than that.
 * @returns false when that fails, which is said
 */
export function printLine(line: string): boolean {
  try {
    printAnyway(1, `${line}\n`);
    return true;
  } catch (error) {
    printTo(2, `xdevd: ${(error as Error).message}\n`);
    return false;
  }
}

/** @returns bytes written, 0 when there is no room @throws SystemError */
function writeSome(fd: number, bytes: Uint8Array): number {
  const written = sys.write(fd, bytes);
  if (written >= 0) return written;
  if (written === -EAGAIN || written === -EINTR) return 0;
  const code = errnoName(-written);
  const stream = fd === 2 ? "standard error" : "standard output";
  throw systemError(code, describeCode(code, `write to ${stream}`));
}
