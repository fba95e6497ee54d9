/** Signals that the runtime has no name for, and so no way to take. */
import { sys } from "../kernel.ts";

/** SIGSTKFLT (asm-generic/signal.h): nothing in Linux sends it. */
const STKFLT = 16;
/** Real-time signals; the C libraries keep some of the first for themselves and refuse them. */
const REALTIME_FIRST = 34;
const REALTIME_LAST = 64;

/** Ignores them: by default each ends the process. */
export function ignoreUnnamedSignals(): void {
  sys.ignore(STKFLT);
  for (let number = REALTIME_FIRST; number <= REALTIME_LAST; number++) sys.ignore(number);
}
