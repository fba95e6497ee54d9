/**
 * Changes that no test can notice, since they change nothing that matters; each was looked at by hand.
 * One is known by its file, the text of its line, and what was changed there.
 */

/** One of them. */
export interface Equivalent {
  readonly file: string;
  /** The line as it is in the source, without blanks around it. */
  readonly line: string;
  readonly what: string;
  readonly reason: string;
}

export const EQUIVALENT: readonly Equivalent[] = [];
