/** The machine's clock. */
import type { Clock } from "./types.ts";

/** Longest time that the runtime's timers take; with a longer one they fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Monotonic time and timers of the runtime. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, fn) {
    let timer: ReturnType<typeof setTimeout>;
    const wait = (left: number) => {
      timer = left > TIMER_MAX_MS
        ? setTimeout(() => wait(left - TIMER_MAX_MS), TIMER_MAX_MS)
        : setTimeout(fn, left);
    };
    wait(ms);
    return () => clearTimeout(timer);
  },
};
