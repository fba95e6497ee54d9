/** The terminal that a standard stream may be. */
import { fstatSync } from "node:fs";

/** Memory devices: /dev/null, /dev/zero … (linux/major.h). */
const MEM_MAJOR = 1;

/**
 * Columns of the terminal that the standard output (1) or error (2) is; undefined when it is none, 0
 * when it does not tell. What the runtime knows of terminals is loaded only for what may be one: it
 * takes twice as long as the runtime's own start.
 */
export function terminalWidth(fd: 1 | 2): number | undefined {
  if (!mayBeTerminal(fd)) return undefined;
  const stream = fd === 1 ? process.stdout : process.stderr;
  return stream.isTTY ? stream.columns ?? 0 : undefined;
}

/**
 * Whether a standard stream may be coloured: it is a terminal that knows colours, and nobody minds
 * (`NO_COLOR`, no-color.org).
 */
export function takesColour(fd: 1 | 2): boolean {
  const { NO_COLOR = "", TERM = "" } = process.env;
  return NO_COLOR === "" && TERM !== "dumb" && terminalWidth(fd) !== undefined;
}

function mayBeTerminal(fd: number): boolean {
  try {
    const status = fstatSync(fd);
    return status.isCharacterDevice() && (status.rdev >> 8 & 0xfff) !== MEM_MAJOR;
  } catch {
    // It is closed.
    return false;
  }
}
