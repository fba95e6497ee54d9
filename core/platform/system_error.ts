/** Errors made here that look like those of the runtime's own system calls. */
import { constants } from "node:os";
import type { SystemError } from "./types.ts";

// Of two names for one number the first: EAGAIN, not EWOULDBLOCK.
const names = new Map(
  Object.entries(constants.errno).reverse().map(([name, number]) => [number, name]),
);

/** Symbolic name of an errno (asm-generic/errno.h), such as `EBUSY`. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** An error with a symbolic `code`. */
export function systemError(code: string, message: string): SystemError {
  return Object.assign(new Error(message), { code });
}

/** Whether an error has one of these codes. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(String((error as { code?: unknown } | null)?.code));
}
