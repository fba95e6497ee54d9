/** Signals that the runtime has no name for, and so no way to take. */
import { loadLibc } from "./libc.ts";

/** SIGSTKFLT (asm-generic/signal.h): nothing in Linux sends it. */
const STKFLT = 16;
/** Real-time signals; the C libraries keep some of the first for themselves and refuse them. */
const REALTIME_FIRST = 34;
const REALTIME_LAST = 64;
/** SIG_IGN. */
const IGNORE = 1;

/**
 * Ignores them: by default each ends the process. Needs Bun's foreign function interface; without it,
 * nothing is done.
 */
export async function ignoreUnnamedSignals(): Promise<void> {
  const libc = await loadLibc("ignore signals").catch(() => null);
  if (libc === null) return;
  const { signal } = libc;
  signal(STKFLT, IGNORE);
  for (let number = REALTIME_FIRST; number <= REALTIME_LAST; number++) signal(number, IGNORE);
}
