/** `ioctl(2)`, which the runtimes' own functions lack. */
import { loadLibc } from "./libc.ts";
import { systemError } from "./system_error.ts";

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
  const libc = await loadLibc("control block devices");
  type Pointer = Parameters<typeof libc.ioctl>[2];
  return (what, fd, request, argument = 0) => {
    const result = libc.ioctl(fd, request, argument as Pointer);
    if (result >= 0) return result;
    const code = libc.errorCode();
    throw systemError(code, `${what}: ${code}`);
  };
}
