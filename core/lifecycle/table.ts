/**
 * The lifecycle's transition table.
 *
 * ```
 *            waiting ── adding ── connected ── closing ── settling ── removing ── holding ── deleting
 *  absent ──┤              │ └ aborting ────────┘            │                                  │
 *            └ (adopted)   └ undoing ── failed ──────────────┘                            absent ┘
 * ```
 */
import { stateName, XenbusState } from "../device/states.ts";
import type {
  Effect,
  LifecycleEvent,
  LifecycleRules,
  LifecycleState,
  Phase,
  TimerName,
} from "./machine.ts";
import { type Wish, wishOf } from "./observation.ts";

/** Conditions, by the names under which the rows and the diagram know them. */
export const guards = {
  gone: wants("gone"),
  refused: wants("refused"),
  closing: wants("closing"),
  /** The toolstack asks for removal, or nobody will ever use it again: nothing to wait for. */
  removal: wants("removal", "dead"),
  /** The toolstack asks for removal, and the backend has closed. */
  detached: wants("removal"),
  dead: wants("dead"),
  idle: wants("idle"),
  /** No longer to be served, for whatever reason. */
  unwanted: wants("gone", "closing", "removal", "dead"),
  /** To be served, or kept for a guest that may come back. */
  wanted: wants("present", "idle"),
  /** The backend can be set up now. Initialised and Connected count: a fast backend passes 2 by. */
  ready: (state: LifecycleState, rules: LifecycleRules): boolean => {
    const { observation } = state;
    if (wishOf(observation) !== "present") return false;
    return !rules.waitsForBackend || (observation.state ?? 0) >= XenbusState.InitWait;
  },
  served: (state: LifecycleState): boolean => state.observation.served,
  acquired: (state: LifecycleState): boolean => state.acquired,
  clean: (state: LifecycleState): boolean => !state.acquired,
  held: (state: LifecycleState): boolean => state.held,
} satisfies Record<string, (state: LifecycleState, rules: LifecycleRules) => boolean>;

/** Name of a condition. */
export type GuardName = keyof typeof guards;

/** One row: in one of these phases, on this event, if all conditions hold. */
export interface Row {
  readonly from: readonly Phase[];
  readonly on: LifecycleEvent["type"];
  readonly when?: readonly GuardName[];
  readonly to: Phase;
  readonly effects?: (
    state: LifecycleState,
    event: LifecycleEvent,
    rules: LifecycleRules,
  ) => readonly Effect[];
  readonly set?: (
    event: LifecycleEvent,
    state: LifecycleState,
  ) => Partial<Omit<LifecycleState, "phase" | "observation">>;
}

function wants(...wishes: Wish[]): (state: LifecycleState) => boolean {
  return (state) => wishes.includes(wishOf(state.observation));
}

const stop = (timer: TimerName): Effect => ({ do: "stop-timer", timer });
const report = (level: "info" | "warning" | "error", text: string): Effect => ({
  do: "report",
  level,
  text,
});
const add: Effect = { do: "add" };
const remove: Effect = { do: "remove" };
const forget: Effect = { do: "forget" };

function errorOf(event: LifecycleEvent): string {
  return "error" in event ? event.error : "";
}

/** On the way to removal: the toolstack gets its time, the kernel gets its own. */
function settle(_: LifecycleState, __: LifecycleEvent, { times }: LifecycleRules): Effect[] {
  return [
    { do: "start-timer", timer: "hold", ms: times.holdMs },
    { do: "await-kernel", ms: times.kernelReleaseMs },
  ];
}

function startWaiting(_: LifecycleState, __: LifecycleEvent, { times }: LifecycleRules): Effect[] {
  return [{ do: "start-timer", timer: "wait", ms: times.initWaitMs }];
}

/** Removal by force: nobody is there who could want to see Closed. */
const byForce = { held: true } as const;

function fail(error: string): Effect[] {
  return [{ do: "publish-error", error }, { do: "close-backend" }, report("error", error)];
}

function waitExpired(state: LifecycleState, rules: LifecycleRules): string {
  const seen = state.observation.state;
  return `the kernel backend did not reach state ${stateName(XenbusState.InitWait)} within ` +
    `${rules.times.initWaitMs / 1000} s; it is in ${
      seen === undefined ? "none" : stateName(seen)
    } (is its module loaded?)`;
}

/** The table: order matters, the first row that fits decides. */
export const TABLE: readonly Row[] = [
  // A device turns up: just created, or there already when the daemon started.
  { from: ["absent"], on: "seen", when: ["gone"], to: "absent", effects: () => [forget] },
  {
    from: ["absent", "waiting"],
    on: "seen",
    when: ["refused"],
    to: "failed",
    effects: (state) => [stop("wait"), ...fail(state.observation.fault ?? "")],
  },
  {
    from: ["absent", "waiting"],
    on: "seen",
    when: ["wanted", "served"],
    to: "connected",
    effects: () => [
      stop("wait"),
      { do: "adopt" },
      report("info", "was set up before: adopted as it is"),
    ],
    set: () => ({ acquired: true }),
  },
  {
    from: ["absent", "waiting"],
    on: "seen",
    when: ["ready"],
    to: "adding",
    effects: () => [stop("wait"), add],
    set: () => ({ acquired: true, error: null }),
  },
  {
    from: ["absent"],
    on: "seen",
    when: ["wanted"],
    to: "waiting",
    effects: startWaiting,
  },
  // Without a guest's directory: it may be about to be written, or is a leftover.
  { from: ["absent", "waiting"], on: "seen", when: ["dead"], to: "waiting", effects: startWaiting },
  // The detach began, or was over, while no daemon ran: what an earlier one set up is still held.
  {
    from: ["absent"],
    on: "seen",
    when: ["detached"],
    to: "settling",
    effects: settle,
    set: () => ({ acquired: true, held: false }),
  },
  {
    from: ["absent"],
    on: "seen",
    when: ["closing"],
    to: "closing",
    set: () => ({ acquired: true, held: false }),
  },

  // Waiting for the kernel backend.
  {
    from: ["waiting"],
    on: "seen",
    when: ["gone"],
    to: "absent",
    effects: () => [stop("wait"), forget],
  },
  {
    from: ["waiting"],
    on: "seen",
    when: ["detached"],
    to: "settling",
    effects: (...args) => [stop("wait"), ...settle(...args)],
    set: () => ({ held: false }),
  },
  {
    from: ["waiting"],
    on: "seen",
    when: ["closing"],
    to: "closing",
    effects: () => [stop("wait")],
  },
  {
    from: ["waiting"],
    on: "wait-expired",
    when: ["dead"],
    to: "settling",
    effects: (...args) => [
      report("warning", "its frontend does not exist: removing what is left"),
      ...settle(...args),
    ],
    set: () => ({ acquired: true, held: false }),
  },
  // Closed by a guest that may come back: there is no hurry.
  { from: ["waiting"], on: "wait-expired", when: ["idle"], to: "waiting" },
  {
    from: ["waiting"],
    on: "wait-expired",
    to: "failed",
    effects: (state, _, rules) => fail(waitExpired(state, rules)),
  },

  // Setting up.
  {
    from: ["adding"],
    on: "seen",
    when: ["unwanted"],
    to: "aborting",
    effects: () => [{ do: "abort-add" }],
  },
  {
    from: ["adding"],
    on: "add-done",
    to: "connected",
    effects: () => [report("info", "connected")],
  },
  {
    from: ["adding"],
    on: "add-failed",
    to: "undoing",
    effects: (_, event) => [
      { do: "publish-error", error: errorOf(event) },
      report("error", errorOf(event)),
      remove,
    ],
  },
  ...(["add-done", "add-failed"] as const).flatMap((on): Row[] => [
    {
      from: ["aborting"],
      on,
      when: ["gone"],
      to: "removing",
      effects: () => [remove],
      set: () => byForce,
    },
    {
      from: ["aborting"],
      on,
      when: ["removal"],
      to: "settling",
      effects: settle,
      set: () => ({ held: false }),
    },
    { from: ["aborting"], on, when: ["closing"], to: "closing" },
    // It is wanted again, though its setup was stopped half way.
    {
      from: ["aborting"],
      on,
      to: "undoing",
      effects: () => [{ do: "publish-error", error: "the setup was interrupted" }, remove],
    },
  ]),

  // A failed setup is undone; the directory stays, its fate is the toolstack's.
  {
    from: ["undoing"],
    on: "remove-done",
    to: "failed",
    effects: () => [{ do: "close-backend" }],
    set: () => ({ acquired: false }),
  },
  {
    from: ["undoing"],
    on: "remove-failed",
    to: "failed",
    effects: (_, event) => [
      report("warning", `undoing the failed setup failed too: ${errorOf(event)}`),
      { do: "close-backend" },
    ],
    set: () => ({ acquired: false }),
  },
  {
    from: ["failed"],
    on: "seen",
    when: ["gone"],
    to: "absent",
    effects: () => [forget],
    set: () => ({ error: null }),
  },
  {
    from: ["failed"],
    on: "seen",
    when: ["removal"],
    to: "settling",
    effects: settle,
    set: () => ({ held: false }),
  },
  // The toolstack's Closing came after our Closed: nobody else would close it again.
  {
    from: ["failed"],
    on: "seen",
    when: ["closing"],
    to: "failed",
    effects: () => [{ do: "close-backend" }],
  },

  // In use, until it is not wanted any more.
  { from: ["connected"], on: "seen", when: ["closing"], to: "closing" },
  {
    from: ["connected", "closing"],
    on: "seen",
    when: ["removal"],
    to: "settling",
    effects: settle,
    set: () => ({ held: false }),
  },
  {
    from: ["connected", "closing"],
    on: "seen",
    when: ["gone", "acquired"],
    to: "removing",
    effects: () => [report("warning", "its directory was deleted: removing by force"), remove],
    set: () => byForce,
  },
  { from: ["closing"], on: "seen", when: ["gone"], to: "absent", effects: () => [forget] },
  // The toolstack thought better of it.
  { from: ["closing"], on: "seen", when: ["wanted", "acquired"], to: "connected" },
  {
    from: ["closing"],
    on: "seen",
    when: ["wanted", "clean"],
    to: "waiting",
    effects: startWaiting,
  },

  // Closed: wait for the kernel, undo, wait for the toolstack, delete.
  ...(["settling", "removing"] as const).map((phase): Row => ({
    from: [phase],
    on: "hold-expired",
    to: phase,
    set: () => ({ held: true }),
  })),
  {
    from: ["settling"],
    on: "kernel-released",
    when: ["acquired"],
    to: "removing",
    effects: () => [remove],
  },
  {
    from: ["settling"],
    on: "kernel-released",
    when: ["held"],
    to: "deleting",
    effects: () => [{ do: "delete" }],
  },
  { from: ["settling"], on: "kernel-released", to: "holding" },
  ...(["remove-done", "remove-failed"] as const).flatMap((on): Row[] => {
    const complain = (event: LifecycleEvent) =>
      on === "remove-failed" ? [report("warning", `its removal failed: ${errorOf(event)}`)] : [];
    const set = () => ({ acquired: false });
    return [
      {
        from: ["removing"],
        on,
        when: ["held"],
        to: "deleting",
        effects: (_, event) => [...complain(event), { do: "delete" }],
        set,
      },
      { from: ["removing"], on, to: "holding", effects: (_, event) => complain(event), set },
    ];
  }),
  {
    from: ["holding"],
    on: "hold-expired",
    to: "deleting",
    effects: () => [{ do: "delete" }],
  },
  {
    from: ["deleting"],
    on: "deleted",
    to: "absent",
    effects: () => [stop("hold"), report("info", "removed"), forget],
    set: () => ({ acquired: false, held: false, error: null }),
  },
  {
    from: ["deleting"],
    on: "delete-refused",
    to: "absent",
    effects: (_, event) => [
      stop("hold"),
      report("warning", `its directory stays: ${errorOf(event)}`),
      forget,
    ],
    set: () => ({ acquired: false, held: false, error: null }),
  },
];
