/** What a look at this domain has found. Pure. */

/** `unknown`: it could not be looked at, which is not the same as being right. */
export const STATES = ["ok", "warning", "failure", "unknown"] as const;
/** One of {@link STATES}. */
export type State = typeof STATES[number];

/** One line of the doctor's. */
export interface Finding {
  readonly state: State;
  /** What was found, in one line. It may have texts from elsewhere in it. */
  readonly message: string;
  /** What a person does about it; of warnings and failures. */
  readonly repair?: string;
}

/** A finding, and which look it is of. */
export interface Found extends Finding {
  /** Name of the look, such as `run-directory`. */
  readonly check: string;
}

/** All is as it has to be. */
export function ok(message: string): Finding {
  return { state: "ok", message };
}

/** Something may go wrong, or some devices cannot be served that nobody has asked for yet. */
export function warning(message: string, repair: string): Finding {
  return { state: "warning", message, repair };
}

/** Something does not work. */
export function failure(message: string, repair: string): Finding {
  return { state: "failure", message, repair };
}

/** It could not be looked at. */
export function unknown(message: string): Finding {
  return { state: "unknown", message };
}

/** What is the matter; a line that says so when it is nothing. */
export function orOk(findings: readonly Finding[], message: string): readonly Finding[] {
  return findings.length > 0 ? findings : [ok(message)];
}

/** Most lines of one look. */
const LINES_MAX = 20;

/** The first lines, and how many more there are. */
export function bounded(findings: readonly Finding[]): readonly Finding[] {
  if (findings.length <= LINES_MAX) return findings;
  const rest = findings.slice(LINES_MAX - 1);
  const worst = rest.find(({ state }) => state === "failure") ?? rest[0]!;
  const message = `… and ${rest.length} more of the kind, such as: ${worst.message}`;
  return [...findings.slice(0, LINES_MAX - 1), { ...worst, message }];
}

/** How many there are of each state. */
export function counted(found: readonly Finding[]): Readonly<Record<State, number>> {
  const counts: Record<State, number> = { ok: 0, warning: 0, failure: 0, unknown: 0 };
  for (const { state } of found) counts[state]++;
  return counts;
}
