/** Waiting for a descriptor in place (`poll(2)`), which the runtimes' own functions lack. */
import { loadLibc } from "./libc.ts";

/** Waits until something can be read, for `ms` at most. @returns whether it can */
export type AwaitReadable = (fd: number, ms: number) => boolean;

/** poll.h on Linux. */
const POLLIN = 1;

/** Needs Bun's foreign function interface. @throws Error without one */
export async function loadAwaitReadable(): Promise<AwaitReadable> {
  const { poll } = await loadLibc("wait for a descriptor");
  // struct pollfd: the descriptor; then two 16-bit numbers, what is waited for and what there is.
  const asked = new Int32Array(2);
  return (fd, ms) => {
    asked[0] = fd;
    asked[1] = POLLIN;
    return poll(asked, 1, ms) === 1 && (asked[1] >>> 16 & POLLIN) !== 0;
  };
}
