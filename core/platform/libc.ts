/** The C library: every function of it that is called, for what the runtimes' own functions lack. */
import type { Library } from "bun:ffi";
import { errnoName, systemError } from "./system_error.ts";
import type { SystemError } from "./types.ts";

/** By the names that glibc and musl give it. */
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/**
 * All of them, as bun:ffi wants them. What is variadic in C (fcntl, ioctl, open) is passed on x86-64 and
 * aarch64 Linux like any other argument; a length (ssize_t) fits in 32 bits, as what is asked for does.
 */
const FUNCTIONS = {
  close: { args: ["i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  dup2: { args: ["i32", "i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  madvise: { args: ["usize", "usize", "i32"], returns: "i32" },
  mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
  open: { args: ["ptr", "i32"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  recv: { args: ["i32", "ptr", "usize", "i32"], returns: "i32" },
  send: { args: ["i32", "ptr", "usize", "i32"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "usize", "i32", "ptr", "u32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  shutdown: { args: ["i32", "i32"], returns: "i32" },
  signal: { args: ["i32", "usize"], returns: "usize" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  umount2: { args: ["ptr", "i32"], returns: "i32" },
  unshare: { args: ["i32"], returns: "i32" },
  write: { args: ["i32", "ptr", "usize"], returns: "i32" },
  // glibc and musl both have errno there.
  __errno_location: { args: [], returns: "ptr" },
} as const;

type Functions = Library<typeof FUNCTIONS>["symbols"];

/** Its functions. */
export type Libc = Functions & {
  /**
   * Symbolic name of the error with which the call before this ended; to be asked for before
   * anything else is done.
   */
  errorCode(): string;
  /** The same as an error. @param what was done, to what: it follows the code in the message */
  failure(what: string): SystemError;
};

let loaded: Promise<Libc> | undefined;

/**
 * Loads it, once: all in one go is as quick as a single function. Needs Bun's foreign function
 * interface.
 * @param purpose what cannot be done without, for the error message
 */
export async function loadLibc(purpose: string): Promise<Libc> {
  try {
    return await (loaded ??= load());
  } catch (error) {
    throw new Error(`cannot ${purpose}: ${(error as Error).message}`);
  }
}

async function load(): Promise<Libc> {
  const { dlopen, read } = await import("bun:ffi");
  for (const library of LIBRARIES) {
    let symbols: Functions;
    try {
      ({ symbols } = dlopen(library, FUNCTIONS));
    } catch {
      // Not this libc.
      continue;
    }
    const errorCode = () => errnoName(read.i32(symbols.__errno_location()!, 0));
    const failure = (what: string) => {
      const code = errorCode();
      return systemError(code, `${code}: ${what}`);
    };
    return { ...symbols, errorCode, failure };
  }
  throw new Error(`none of ${LIBRARIES.join(", ")} can be loaded`);
}
