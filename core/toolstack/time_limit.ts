/** How long a toolstack's command may take in all, and how that is told. Pure. */

/** A limit that was given. */
export interface TimeLimit {
  /** What is left of it, in ms; negative when it is over. */
  left(): number;
}

/** How long a command goes on when its time is over, to clean up what it has begun, in ms. */
export const CLEANUP_MS = 2_000;

/** No time for anything but cleaning up. */
export const OVER: TimeLimit = { left: () => 0 };

/**
 * How long one wait may be, in ms, 1 or more.
 * @param ms how long at most
 * @param extraMs on top of what the limit leaves, if there is one
 */
export function within(ms: number, limit: TimeLimit | undefined, extraMs = 0): number {
  return limit === undefined ? ms : Math.max(1, Math.min(ms, limit.left() + extraMs));
}

/** A time for people: whole seconds, 1 or more. */
export function wholeSeconds(ms: number): string {
  return `${Math.max(1, Math.round(ms / 1000))} s`;
}
