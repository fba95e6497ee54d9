/** `ioctl(2)`, which the runtimes' own functions lack. */
import { loadLibc } from "./libc.ts";
import { errnoName, systemError } from "./system_error.ts";

/**
 * One `ioctl(2)`.
 * @param what for the error message, such as `LOOP_CONFIGURE /dev/loop0`
 * @param argument memory that the driver reads or writes, or a plain integer
 * @returns what the driver returned, 0 or more
 * @throws SystemError with the errno that the driver returned
 */
export type Ioctl = (
  what: string,
  fd: number,
  request: number,
  argument?: Uint8Array | number,
) => number;

/** Needs Bun's foreign function interface. @throws Error when it cannot be loaded */
export async function loadIoctl(): Promise<Ioctl> {
  const { read } = await import("bun:ffi");
  const libc = await loadLibc(
    {
      // Its argument is variadic in C; on x86-64 and aarch64 Linux it is passed like any other.
      ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
      // glibc and musl both have errno there.
      __errno_location: { args: [], returns: "ptr" },
    },
    "control block devices",
  );
  type Pointer = Parameters<typeof libc.ioctl>[2];
  const errno = libc.__errno_location();
  if (errno === null) throw new Error("cannot control block devices: there is no errno");
  return (what, fd, request, argument = 0) => {
    const result = libc.ioctl(fd, request, argument as Pointer);
    // Nothing that could set it lies between.
    const code = result < 0 ? errnoName(read.i32(errno, 0)) : "";
    if (result < 0) throw systemError(code, `${what}: ${code}`);
    return result;
  };
}
