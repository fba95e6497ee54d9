/** Waiting for a descriptor in place (`poll(2)`). */
import { sys } from "../kernel.ts";

/** Waits until something can be read, for `ms` at most. @returns whether it can */
export type AwaitReadable = (fd: number, ms: number) => boolean;

/** asm-generic/poll.h */
const POLLIN = 1;

/** The kernel's. */
export const awaitReadable: AwaitReadable = (fd, ms) => (sys.poll(fd, POLLIN, ms) & POLLIN) !== 0;
