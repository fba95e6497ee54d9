/** What both sides' machines have in common: rows, and how one of them is chosen. Pure. */

/** In one of these phases, on this event, if all conditions hold. */
export interface Row<
  Phase extends string = string,
  Event extends string = string,
  Guard extends string = string,
  Step extends string = string,
> {
  readonly from: readonly Phase[];
  readonly on: Event;
  readonly when?: readonly Guard[];
  readonly to: Phase;
  /** What is done, in order; each step is one transaction, or starts something that takes long. */
  readonly steps?: readonly Step[];
}

/** In one of these phases, on this event, if all these hold: to that phase, by these steps. */
export function row<
  Phase extends string,
  Event extends string,
  Guard extends string,
  Step extends string,
>(
  from: readonly Phase[],
  on: Event,
  when: readonly Guard[],
  to: Phase,
  ...steps: readonly Step[]
): Row<Phase, Event, Guard, Step> {
  return { from, on, when, to, steps };
}

/** One side's rules. */
export interface Machine<
  Phase extends string,
  Event extends string,
  Guard extends string,
  Step extends string,
  Seen,
> {
  /** Order matters, the first row that fits decides. */
  readonly table: readonly Row<Phase, Event, Guard, Step>[];
  /** Conditions on the newest look at the store, by the names that the rows know them under. */
  readonly guards: Readonly<Record<Guard, (seen: Seen) => boolean>>;
}

/** Result of a transition. */
export interface Transition<Phase extends string, Step extends string> {
  readonly phase: Phase;
  readonly steps: readonly Step[];
}

/**
 * Takes one event. An event that no row expects changes nothing.
 * @param seen the newest look at the store
 */
export function transition<
  Phase extends string,
  Event extends string,
  Guard extends string,
  Step extends string,
  Seen,
>(
  machine: Machine<Phase, Event, Guard, Step, Seen>,
  phase: Phase,
  event: Event,
  seen: Seen,
): Transition<Phase, Step> {
  for (const { from, on, when = [], to, steps = [] } of machine.table) {
    if (!from.includes(phase) || on !== event) continue;
    if (when.every((name) => machine.guards[name](seen))) return { phase: to, steps };
  }
  return { phase, steps: [] };
}
