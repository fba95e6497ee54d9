/**
 * The life of one device, as a pure function: (state, event) → (state, effects). No clock, no I/O.
 * The rows are in `table.ts`; the diagram in the docs is printed from them.
 */
import type { LifecycleTimes } from "./constants.ts";
import { ABSENT, type Observation } from "./observation.ts";
import { guards, TABLE } from "./table.ts";

/** Where a device is in its life. */
export type Phase =
  /** Nothing is known of it, nothing is held for it. */
  | "absent"
  /** Waiting for the kernel backend to reach InitWait. */
  | "waiting"
  /** The plugin's `add` runs. */
  | "adding"
  /** `add` succeeded; the rest is between kernel and guest. */
  | "connected"
  /** `add` was told to stop; it has not ended yet. */
  | "aborting"
  /** `add` failed; the plugin's `remove` runs. */
  | "undoing"
  /** `add` failed and was undone; the toolstack is to remove the device. */
  | "failed"
  /** The toolstack wants it removed; waiting for the backend to close. */
  | "closing"
  /** Closed; waiting for the kernel to let go of the device. */
  | "settling"
  /** The plugin's `remove` runs. */
  | "removing"
  /** All undone; the toolstack is given time to see Closed. */
  | "holding"
  /** The directory is being deleted. */
  | "deleting";

/** What can happen to a device. */
export type LifecycleEvent =
  | { readonly type: "seen"; readonly observation: Observation }
  | { readonly type: "add-done" }
  | { readonly type: "add-failed"; readonly error: string }
  | { readonly type: "remove-done" }
  | { readonly type: "remove-failed"; readonly error: string }
  | { readonly type: "wait-expired" }
  | { readonly type: "hold-expired" }
  /** The kernel unregistered the device, or took too long over it. */
  | { readonly type: "kernel-released" }
  | { readonly type: "deleted" }
  /** The directory was not deleted: it is wanted again, or the store refused. */
  | { readonly type: "delete-refused"; readonly error: string };

/** Name of a timer; each device has at most one of each. */
export type TimerName = "wait" | "hold";

/** What the runner has to do. `add`, `remove`, `await-kernel` and `delete` answer with an event. */
export type Effect =
  /** Starts a timer unless it runs already; it answers with `wait-expired` or `hold-expired`. */
  | { readonly do: "start-timer"; readonly timer: TimerName; readonly ms: number }
  | { readonly do: "stop-timer"; readonly timer: TimerName }
  | { readonly do: "add" }
  | { readonly do: "abort-add" }
  | { readonly do: "remove" }
  /** Lets the plugin learn what undoing needs, of a device set up under an earlier daemon. */
  | { readonly do: "adopt" }
  /** Makes sure that `hotplug-status` and `hotplug-error` tell of the failure. */
  | { readonly do: "publish-error"; readonly error: string }
  /** Takes the backend to Closing, then Closed, so that guest and toolstack see the end. */
  | { readonly do: "close-backend" }
  | { readonly do: "await-kernel"; readonly ms: number }
  | { readonly do: "delete" }
  | { readonly do: "report"; readonly level: "info" | "warning" | "error"; readonly text: string }
  /** Nothing is left of the device: its record can go. */
  | { readonly do: "forget" };

/** All that is remembered of a device. */
export interface LifecycleState {
  readonly phase: Phase;
  /** The newest look at the store. */
  readonly observation: Observation;
  /** Whether an `add` may hold something that only `remove` gives back. */
  readonly acquired: boolean;
  /** Whether the toolstack has had its time to see Closed. */
  readonly held: boolean;
  /** Why it failed, or null. */
  readonly error: string | null;
}

/** A device of which nothing is known. */
export const INITIAL: LifecycleState = {
  phase: "absent",
  observation: ABSENT,
  acquired: false,
  held: false,
  error: null,
};

/** What differs between kinds and installations. */
export interface LifecycleRules {
  readonly times: LifecycleTimes;
  /** Whether a kernel backend has to reach InitWait first (false for kinds that QEMU serves). */
  readonly waitsForBackend: boolean;
}

/** Result of a transition. */
export interface Step {
  readonly state: LifecycleState;
  readonly effects: readonly Effect[];
}

/**
 * Takes one event. The first row of the table that fits decides; an event that no row expects
 * changes nothing but the observation.
 */
export function transition(
  before: LifecycleState,
  event: LifecycleEvent,
  rules: LifecycleRules,
): Step {
  let state = before;
  if (event.type === "seen") state = { ...state, observation: event.observation };
  for (const row of TABLE) {
    if (!row.from.includes(state.phase) || row.on !== event.type) continue;
    if (row.when !== undefined && !row.when.every((name) => guards[name](state, rules))) continue;
    const effects = row.effects?.(state, event, rules) ?? [];
    const failure = effects.find((effect) => effect.do === "publish-error");
    const error = failure?.error ?? state.error;
    return { state: { ...state, error, ...row.set?.(event, state), phase: row.to }, effects };
  }
  return { state, effects: [] };
}
