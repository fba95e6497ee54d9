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

export const EQUIVALENT: readonly Equivalent[] = [
  {
    file: "core/xenstore/paths.ts",
    line: "if (path.length <= ABSOLUTE_PATH_MAX && ordinary.test(path)) return null;",
    what: "<= → <",
    reason: "a short cut: a path of just that length passes the checks that follow as well",
  },
];
