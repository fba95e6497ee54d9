/** The terminal that a standard stream may be. */
import { sys } from "../kernel.ts";
import { program } from "../runtime.ts";

/** asm-generic/ioctls.h */
const TIOCGWINSZ = 0x5413;

/**
 * Columns of the terminal that the standard output (1) or error (2) is; undefined when it is none, 0
 * when it does not tell.
 */
export function terminalWidth(fd: 1 | 2): number | undefined {
  // struct winsize: rows, columns, and the same in pixels, 16 bits each
  const size = new Uint8Array(8);
  return sys.ioctl(fd, TIOCGWINSZ, size) < 0 ? undefined : size[2]! | size[3]! << 8;
}

/**
 * Whether a standard stream may be coloured: it is a terminal that knows colours, and nobody minds
 * (`NO_COLOR`, no-color.org).
 */
export function takesColour(fd: 1 | 2): boolean {
  const { NO_COLOR = "", TERM = "" } = program.environment;
  return NO_COLOR === "" && TERM !== "dumb" && terminalWidth(fd) !== undefined;
}
