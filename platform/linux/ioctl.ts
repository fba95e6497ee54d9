/** `ioctl(2)`. */
import { sys } from "../kernel.ts";
import { errnoName, systemError } from "../system_error.ts";

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

/** The machine's. */
export const systemIoctl: Ioctl = (what, fd, request, argument = 0) => {
  const result = sys.ioctl(fd, request, argument);
  if (result >= 0) return result;
  const code = errnoName(-result);
  throw systemError(code, `${what}: ${code}`);
};
