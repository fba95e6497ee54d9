/** How this program was called, byte by byte, and what its terminal is like. */
import * as fs from "node:fs";

/** The name that this program was called by: argv[0], as the caller gave it. */
export function calledAs(): string {
  return process.argv0;
}

/** The environment variable, or undefined. As in self.ts, which loads more. */
export function variable(name: string): string | undefined {
  return process.env[name];
}

/**
 * The arguments, a character a byte (0 to 255): the runtime's own list has lost what is no UTF-8.
 * Without /proc that list has to do.
 */
export function argumentBytes(): string[] {
  const decoded = process.argv.slice(2);
  if (decoded.length === 0) return [];
  try {
    const all = fs.readFileSync("/proc/self/cmdline", "latin1").split("\0");
    return all.slice(0, -1).slice(-decoded.length);
  } catch {
    return decoded.map((text) => Buffer.from(text).toString("latin1"));
  }
}

/** Columns of the terminal that the standard output is; undefined when it is none. */
export async function terminalColumns(): Promise<number | undefined> {
  if (!fs.fstatSync(1).isCharacterDevice()) return undefined;
  // Loading it takes several times as long as all else that a tool does.
  const { isatty } = await import("node:tty");
  return isatty(1) ? process.stdout.columns ?? 0 : undefined;
}

/** What a shell reports of a program that SIGPIPE ended, which the runtime ignores. */
const BROKEN_PIPE_STATUS = 141;
const FULL_PIPE_PAUSE_MS = 5;

/**
 * Writes all of a text of a character a byte, waiting for a slow reader. When the reader is gone, the
 * process ends, as programs do.
 * @throws SystemError (ENOSPC, EIO, …)
 */
export function writeFully(fd: 1 | 2, text: string): void {
  const bytes = Buffer.from(text, "latin1");
  for (let done = 0; done < bytes.length;) {
    try {
      done += fs.writeSync(fd, bytes, done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EPIPE") process.exit(BROKEN_PIPE_STATUS);
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_PAUSE_MS);
    }
  }
}
