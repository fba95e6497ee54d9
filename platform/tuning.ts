/**
 * What is tuned for the runtime, at three moments: before the start, after it, and when nothing happens.
 * Nothing else knows of it; the small binary has another file in the place of this one.
 */
export {
  collectObjects,
  environmentWithSettings,
  tuneAfterStart,
  tuneBeforeStart,
} from "./bun/tuning.ts";
