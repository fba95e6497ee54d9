/**
 * How long code may run before it waits again. There is one thread: a plugin that never returns would
 * take the daemon from all other guests.
 */
import { host } from "./host.ts";

/** In ms. Nothing that a plugin has to compute takes a tenth of this. */
export const RUN_MAX_MS = 10_000;

/** Has it hold from now on, for all that runs. */
export function limitRuns(): void {
  host.limit(RUN_MAX_MS);
}

/**
 * Calls what a plugin brought, which has the whole time for itself.
 * @throws Error when its time was up, now or after it has waited, as a promise's rejection
 */
export function bounded<T>(call: () => T): T {
  limitRuns();
  let result: T;
  try {
    result = host.bounded(call);
  } catch (error) {
    throw told(error);
  }
  if (!(result instanceof Promise)) return result;
  return result.then(undefined, (error) => {
    throw told(error);
  }) as T;
}

/** No code can catch the engine's own error. */
function told(error: unknown): unknown {
  host.catchable(error);
  const isInterruption = error instanceof Error && error.name === "InternalError" &&
    error.message === "interrupted";
  if (!isInterruption) return error;
  const told = new Error(`it ran for ${RUN_MAX_MS / 1000} s without a pause, and was ended`);
  if (error.stack !== undefined) told.stack = error.stack;
  return told;
}
