/** The C library, for the few system calls that the runtimes' own functions lack. */
import type { FFIFunction, Library } from "bun:ffi";

/** By the names that glibc and musl give it. */
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/**
 * Loads functions of the C library. Needs Bun's foreign function interface.
 * @param purpose what cannot be done without, for the error message
 */
export async function loadLibc<Functions extends Record<string, FFIFunction>>(
  functions: Functions,
  purpose: string,
): Promise<Library<Functions>["symbols"]> {
  const { dlopen } = await import("bun:ffi");
  for (const library of LIBRARIES) {
    try {
      return dlopen(library, functions).symbols;
    } catch {
      // Not this libc.
    }
  }
  throw new Error(`cannot ${purpose}: none of ${LIBRARIES.join(", ")} can be loaded`);
}
