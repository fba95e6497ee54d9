/**
 * The life of one device, as a pure function: (state, event) → (state, effects). No clock, no I/O.
 * The rows are in `table.ts`; the diagram in the docs is printed from them.
 */
import {
  type Effect,
  INITIAL,
  type LifecycleEvent,
  type LifecycleRules,
  type LifecycleState,
  type Phase,
  type Stage,
  type Step,
} from "./state.ts";
import { coded } from "../messages/table.ts";
import { guards, type Row, TABLE, TIMERS } from "./table.ts";
import { troubleWith } from "./trouble.ts";

/** How many failures are remembered to have been told. */
const TOLD_MAX = 8;

/** A device of which the journal knows; the first effect is to wait for what still runs. */
export function resumed(
  record: {
    readonly stage: Stage;
    readonly attachId: string | null;
    readonly error: string | null;
    readonly busy: boolean;
  },
  rules: LifecycleRules,
): Step {
  const { stage, attachId, error, busy } = record;
  const acquired = stage !== "failed" && stage !== "removed";
  return {
    // The earlier daemon has told of it.
    state: {
      ...INITIAL,
      phase: "recovering",
      stage,
      attachId,
      error,
      told: error === null ? [] : [error],
      busy,
      acquired,
    },
    effects: [{ do: "await-orphans", ms: rules.times.orphans }],
  };
}

/**
 * Takes one event. The first row of the table that fits decides; an event that no row expects
 * changes nothing but what is known, but a failure is told of in any case. Timers that have no
 * meaning in the new phase are stopped.
 * @param table another table, for the tests that change it
 */
export function transition(
  before: LifecycleState,
  event: LifecycleEvent,
  rules: LifecycleRules,
  table: readonly Row[] = TABLE,
): Step {
  const state = learn(before, event);
  for (const row of rowsOf(table, state.phase, event.type)) {
    if (row.when !== undefined && !row.when.every((name) => guards[name](state, rules))) continue;
    return take(row, state, event, rules);
  }
  return { state, effects: unexpected(event) };
}

function take(row: Row, state: LifecycleState, event: LifecycleEvent, rules: LifecycleRules): Step {
  const to = row.to ?? state.phase;
  const stopped = TIMERS[state.phase].filter((timer) => !TIMERS[to].includes(timer))
    .map((timer): Effect => ({ do: "stop-timer", timer }));
  const told = row.tells?.(state, event, rules);
  const isNews = told !== undefined && !state.told.includes(told.text);
  const news: Effect[] = isNews ? [{ do: "report", ...told }] : [];
  const effects = [...stopped, ...news, ...row.effects?.(state, event, rules) ?? []];
  const failure = effects.find((effect) => effect.do === "publish-error");
  const next = {
    ...state,
    error: failure?.error ?? state.error,
    told: isNews ? [...state.told, told.text].slice(-TOLD_MAX) : state.told,
    ...row.set?.(event, state),
    phase: to,
  };
  // A life has ended: the next one starts with nothing but what is in the store.
  if (to === "absent") {
    const { observation, asked } = next;
    return { state: { ...INITIAL, observation, asked }, effects };
  }
  return { state: next, effects };
}

function unexpected(event: LifecycleEvent): Effect[] {
  // What has broken, or is lost, is told once, and only of what is to work.
  if (
    !("error" in event) || ["delete-refused", "broken", "undone", "evicted"].includes(event.type)
  ) return [];
  const text = event.type === "trouble" ? troubleWith(event.effect) : event.type;
  const line = `${text}: ${event.error}`;
  const ofJournal = event.type === "trouble" &&
    (event.effect === "note" || event.effect === "drop");
  return [{
    do: "report",
    level: "warning",
    text: ofJournal ? coded("journal-unusable", line) : line,
  }];
}

/** The rows of each table by what they begin with: most do not concern an event. */
const indexes = new WeakMap<readonly Row[], Map<string, Row[]>>();

function rowsOf(
  table: readonly Row[],
  phase: Phase,
  on: LifecycleEvent["type"],
): readonly Row[] {
  let index = indexes.get(table);
  if (index === undefined) {
    index = new Map();
    for (const row of table) {
      for (const from of row.from) {
        const key = `${from} ${row.on}`;
        const rows = index.get(key);
        if (rows === undefined) index.set(key, [row]);
        else rows.push(row);
      }
    }
    indexes.set(table, index);
  }
  return index.get(`${phase} ${on}`) ?? [];
}

function learn(state: LifecycleState, event: LifecycleEvent): LifecycleState {
  switch (event.type) {
    case "seen": {
      const { observation } = event;
      const { attachId, present } = state.observation;
      const anew = attachId !== null && observation.attachId !== attachId;
      return { ...state, observation, anew, turned: observation.present !== present };
    }
    case "close":
      return { ...state, asked: true };
    case "adopted":
      return state.acquired ? { ...state, attachId: event.attachId ?? state.attachId } : state;
    case "recorded":
      return { ...state, attachId: event.attachId };
    default:
      return state;
  }
}
