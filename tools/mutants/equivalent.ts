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
    file: "core/xenstore/codec.ts",
    line: "if (at < bytes.length) {",
    what: "< → <=",
    reason: "nothing is kept then, and its length, 0, is what says that nothing is",
  },
  {
    file: "commands/plugin/check_rules.ts",
    line: 'if (++logged <= LOG_MAX) tell({ is: "log", line });',
    what: "<= → <",
    reason: "a limit of our own choice: one line fewer is as good",
  },
  {
    file: "core/requests/driver/requests.ts",
    line: "if (path === presencePath(this.#domid)) return;",
    what: "return → nothing",
    reason:
      "a short cut: what it has written itself is no request, and one list more finds nothing",
  },
  {
    file: "platform/io/listener.ts",
    line: 'if (hasCode(error, "ENOENT", "ENOTDIR")) return false;',
    what: "false → true",
    reason:
      "a short cut: where there is nothing, no connection is refused as a dead socket does it",
  },
  {
    file: "platform/clock.ts",
    line: "timer = left > TIMER_MAX_MS",
    what: "> → >=",
    reason: "of a time that is just as long, nothing is left after the first part of it",
  },
  {
    file: "platform/io/kept_directories.ts",
    line: "const FILES_MAX = 1024;",
    what: "1024 → 1025",
    reason: "a limit of our own choice: one file more is as good",
  },
  {
    file: "core/daemon/devices.ts",
    line: "const CHECKS_AT_A_TIME = 100;",
    what: "100 → 101",
    reason: "a measure of our own choice: one device more is as good",
  },
  {
    file: "core/log/log.ts",
    line:
      'return code > 0xffff ? `\\\\u{${code.toString(16)}}` : `\\\\x${code.toString(16).padStart(2, "0")}`;',
    what: "> → >=",
    reason: "U+FFFF is no control and no format character: it never comes here",
  },
  {
    file: "core/message_pack.ts",
    line: "const larger = new Uint8Array(Math.max(this.#length + count, 2 * this.#buffer.length));",
    what: "2 → 3",
    reason: "how fast a buffer grows, which is cut in the end",
  },
  {
    file: "core/xenstore/access.ts",
    line: "for (let attempt = 1; attempt <= LISTING_ATTEMPTS; attempt++) {",
    what: "<= → <",
    reason: "a patience of our own choice: one attempt fewer is as good",
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
