/** What failed for want of something that may be there later: it has not said that there is nothing to do. */

/** No process, no descriptor, no memory; no answer in time. */
const LACKS: ReadonlySet<unknown> = new Set(["EAGAIN", "EMFILE", "ENFILE", "ENOMEM", "ETIMEDOUT"]);

/** Whether an error tells of no more than that; what was asked for may be so, or not. */
export function isShortage(error: unknown): boolean {
  return LACKS.has((error as { code?: unknown } | null)?.code);
}
