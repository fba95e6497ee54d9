/** The machine's clock. */
import type { Clock } from "./types.ts";

/** Monotonic time and timers of the runtime. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
};
