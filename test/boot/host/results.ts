/** What a machine has said of its checks (inside/checks.sh writes it). */

/** One check. */
export interface Check {
  readonly what: string;
  readonly passed: boolean;
}

/** All that a machine has said. */
export interface Results {
  readonly checks: readonly Check[];
  /** Figures. */
  readonly notes: readonly string[];
  /** It came to its end. */
  readonly done: boolean;
}

/** Reads a transcript; what is no line of a check is left out. */
export function readResults(transcript: string): Results {
  const checks: Check[] = [];
  const notes: string[] = [];
  let done = false;
  let group = "";
  for (const line of transcript.split(/\r?\n/)) {
    const [, word, text = ""] = /^@(passed|failed|note|done)(?: (.*))?$/.exec(line) ?? [];
    if (word === "note") notes.push(text);
    else if (word === "done") done = true;
    else if (word !== undefined) {
      // "... and so on" goes on with the check before it.
      if (!text.startsWith("... ")) group = text.split(":")[0]!;
      const what = text.startsWith("... ") ? `${group}: ${text.slice(4)}` : text;
      checks.push({ what, passed: word === "passed" });
    }
  }
  return { checks, notes, done };
}

/** How many passed, and failed; a machine that did not come to its end has failed once more. */
export function count({ checks, done }: Results): { passed: number; failed: number } {
  const passed = checks.filter((check) => check.passed).length;
  return { passed, failed: checks.length - passed + (done ? 0 : 1) };
}
