/**
 * The lifecycle's transition table. Its diagram is docs/lifecycle.md (`xdevd lifecycle`).
 *
 * ```
 *   absent ─ waiting ─ recording ─ adding ─ connected ─ closing ─ settling ─ removing ─ holding ─ deleting
 *      │                             │ └ aborting ─┘                 │
 *      │                             └ undoing ─ failed ─────────────┘
 *      └ (known from the journal) recovering ─ recovered ─ any of them, or redoing
 * ```
 */
import { coded, type MessageCode } from "../messages/table.ts";
import { stateName, XenbusState } from "../xen/states.ts";
import type {
  Effect,
  FailureType,
  LifecycleEvent,
  LifecycleRules,
  LifecycleState,
  Milestone,
  Phase,
  Stage,
  TimerName,
} from "./state.ts";
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
  /** The backend has closed. */
  over: ({ observation }: LifecycleState): boolean => observation.state === XenbusState.Closed,
  idle: wants("idle"),
  present: wants("present"),
  unclear: wants("unclear"),
  /** No longer to be served, for whatever reason. */
  unwanted: wants("gone", "closing", "removal", "dead"),
  /** To be served, or kept for a guest that may come back. */
  wanted: wants("present", "idle"),
  /** Nobody has asked for its end, whether or not its nodes make sense. */
  undisputed: wants("present", "idle", "refused"),
  /** The backend can be set up now. Initialised and Connected count: a fast backend passes 2 by. */
  ready: (state: LifecycleState, rules: LifecycleRules): boolean => {
    const { observation } = state;
    if (state.asked || state.evicted || wishOf(observation) !== "present") return false;
    return !rules.waitsForBackend || (observation.state ?? 0) >= XenbusState.InitWait;
  },
  served: (state: LifecycleState): boolean => state.observation.served,
  /** It looks served, and not because of something that was undone: its backend's state stays. */
  proven: ({ observation, redone }: LifecycleState): boolean => observation.served && !redone,
  /** There is a directory, but not the one that was set up: it was deleted and made anew. */
  replaced: ({ attachId, observation }: LifecycleState): boolean =>
    attachId !== null && observation.present && observation.attachId !== attachId,
  /** It is another directory than at the look before, and none that is to be removed. */
  anew: ({ anew, observation }: LifecycleState): boolean =>
    anew && !["gone", "closing", "removal"].includes(wishOf(observation)),
  /** It failed before anything was done, and now could be served: what was wrong is no more. */
  mended: ({ attachId, asked, observation }: LifecycleState): boolean =>
    attachId === null && !asked && wishOf(observation) === "present",
  /** The guest's directory is gone, and with it whoever could close it. */
  abandoned: ({ observation }: LifecycleState): boolean =>
    observation.present && !observation.frontendPresent,
  acquired: (state: LifecycleState): boolean => state.acquired,
  clean: (state: LifecycleState): boolean => !state.acquired,
  complete: (state: LifecycleState): boolean => state.complete,
  sound: (state: LifecycleState): boolean => state.error === null,
  /** The QEMU that served it is gone. */
  unserved: (state: LifecycleState, rules: LifecycleRules): boolean =>
    rules.servedByQemu && state.error !== null,
  held: (state: LifecycleState): boolean => state.held,
  /** The daemon closes it. */
  asked: (state: LifecycleState): boolean => state.asked || state.evicted,
  /** It was refused since something is in use. */
  busy: (state: LifecycleState): boolean => state.busy,
  freed: (state: LifecycleState): boolean => state.freed,
  overtime: (state: LifecycleState): boolean => state.overtime,
  /** Undoing it failed, and is to be tried again. */
  paused: (state: LifecycleState): boolean => state.paused,
  stuck: (state: LifecycleState): boolean => state.stuck !== null,
  turned: (state: LifecycleState): boolean => state.turned,
  /** Its directory does not say that it has failed. */
  unsaid: ({ observation }: LifecycleState): boolean => observation.report !== "failed",
  qemu: (_: LifecycleState, rules: LifecycleRules): boolean => rules.servedByQemu,
  independent: (_: LifecycleState, rules: LifecycleRules): boolean => rules.removesWithoutDirectory,
  "was-adding": was("adding"),
  "was-connected": was("connected"),
  "was-undoing": was("undoing"),
  "was-failed": was("failed"),
  "was-removed": was("removed"),
} satisfies Record<string, (state: LifecycleState, rules: LifecycleRules) => boolean>;

/** Name of a condition. */
export type GuardName = keyof typeof guards;

/** What a person is told. */
export interface Telling {
  readonly level: "warning" | "error";
  /** Who is known; what, and why. */
  readonly text: string;
}

type Teller = (state: LifecycleState, event: LifecycleEvent, rules: LifecycleRules) => Telling;

/** One row: in one of these phases, on this event, if all conditions hold. */
export type Row =
  & RowBase
  & (
    // A failure never passes without its cause.
    | { readonly on: FailureType; readonly tells: Teller }
    | { readonly on: Exclude<LifecycleEvent["type"], FailureType>; readonly tells?: Teller }
  );

interface RowBase {
  readonly from: readonly Phase[];
  readonly when?: readonly GuardName[];
  /** Absent: it stays where it is. */
  readonly to?: Phase;
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

/** Which timers may run in which phase. */
export const TIMERS: Readonly<Record<Phase, readonly TimerName[]>> = {
  absent: [],
  recovering: ["retry"],
  recovered: [],
  waiting: ["wait"],
  recording: ["patience"],
  adding: ["patience"],
  connected: [],
  aborting: [],
  undoing: ["budget", "patience", "retry"],
  redoing: ["budget", "retry"],
  failed: [],
  busy: ["patience"],
  closing: ["destroy"],
  lingering: ["linger"],
  settling: ["hold", "budget"],
  removing: ["hold", "budget", "retry"],
  overdue: ["retry"],
  finishing: ["retry"],
  holding: ["hold"],
  deleting: [],
  undeletable: [],
};

/**
 * Timers whose end means something only together with what is in the store by then: it is looked at
 * first. While the store is away, that may be long after.
 */
export const LOOKED_AT_FIRST: ReadonlySet<TimerName> = new Set<TimerName>(["wait", "destroy"]);

/** Phases in which nothing of ours is under way. */
export const RESTING: ReadonlySet<Phase> = new Set<Phase>([
  "absent",
  "recovering",
  "recovered",
  "waiting",
  "connected",
  "failed",
  "busy",
  "closing",
  "lingering",
  "undeletable",
]);

function wants(...wishes: Wish[]): (state: LifecycleState) => boolean {
  return (state) => wishes.includes(wishOf(state.observation));
}

function was(stage: Stage): (state: LifecycleState) => boolean {
  return (state) => state.stage === stage;
}

const report = (text: string): Effect => ({ do: "report", level: "info", text });
const warning = (text: string) => (): Telling => ({ level: "warning", text });
/** The failure that the event tells of. @param what failed */
const failed = (level: Telling["level"], what = "", code?: MessageCode): Teller => (_, event) => {
  const text = what === "" ? errorOf(event) : `${what}: ${errorOf(event)}`;
  return { level, text: code === undefined ? text : coded(code, text) };
};
const reached = (milestone: Milestone): Effect => ({
  do: "report",
  level: "info",
  text: milestone,
  milestone,
});
const note = (stage: Stage): Effect => ({ do: "note", stage });
const remove: Effect = { do: "remove" };
const drop: Effect = { do: "drop" };
const forget: Effect = { do: "forget" };
const adopt: Effect = { do: "adopt" };
const cleanse: Effect = { do: "cleanse" };
const closeBackend: Effect = { do: "close-backend" };

function errorOf(event: LifecycleEvent): string {
  return "error" in event ? event.error : "";
}

/** On the way to removal: the toolstack gets its time, the kernel gets its own. */
function settle(_: LifecycleState, __: LifecycleEvent, { times }: LifecycleRules): Effect[] {
  return [
    { do: "start-timer", timer: "hold", ms: times.hold },
    { do: "start-timer", timer: "budget", ms: times.budget },
    { do: "await-kernel", ms: times.kernelRelease },
  ];
}

function startWaiting(_: LifecycleState, __: LifecycleEvent, { times }: LifecycleRules): Effect[] {
  return [{ do: "start-timer", timer: "wait", ms: times.initWait }];
}

function limitClosing(_: LifecycleState, __: LifecycleEvent, { times }: LifecycleRules): Effect[] {
  return [{ do: "start-timer", timer: "destroy", ms: times.destroy }];
}

function limitUndoing(_: LifecycleState, __: LifecycleEvent, { times }: LifecycleRules): Effect[] {
  return [{ do: "start-timer", timer: "budget", ms: times.budget }];
}

/** The toolstack waits to see Closed. */
const watched = () => ({ held: false });
/** Removal by force: nobody is there who could want to see Closed. */
const byForce = () => ({ held: true });
function keepOpen(_: LifecycleState, __: LifecycleEvent, { times }: LifecycleRules): Effect[] {
  return [{ do: "start-timer", timer: "patience", ms: times.busy }];
}

const awaitRelease: Effect = { do: "await-release" };
const refused: Effect = { do: "note", stage: "failed", busy: true };
/** Sets up what was refused, in the directory in which it was. */
const takeUp: readonly Effect[] = [{ do: "cleanse", keep: true }, { do: "record", again: true }];
const takenUp = () => ({ busy: false, freed: false, error: null });

/** What is told next is news, whatever it was before. */
const sound = () => ({ error: null, told: [] });
/** What an earlier daemon, of which there is no record, set up is still held. */
const inherited = () => ({ acquired: true, held: false });

function fail(error: string): Effect[] {
  return [{ do: "publish-error", error }, closeBackend];
}

/** Why it must not be served. */
const refusal: Teller = ({ observation }) => ({ level: "error", text: observation.fault ?? "" });

const publish = (_: LifecycleState, event: LifecycleEvent, __: LifecycleRules): Effect[] => [
  { do: "publish-error", error: errorOf(event) },
];

/** What is told late may be no more than what follows from having been stopped. */
const addFailed: Teller = (_, event) =>
  "late" in event && event.late
    ? { level: "warning", text: `its setup failed after it was told to stop: ${errorOf(event)}` }
    : { level: "error", text: errorOf(event) };

function waitExpired(state: LifecycleState, rules: LifecycleRules): string {
  const seen = state.observation.state;
  return coded(
    "backend-driver-missing",
    `the kernel backend did not reach state ${stateName(XenbusState.InitWait)} within ` +
      `${rules.times.initWait / 1000} s; it is in ${
        seen === undefined ? "none" : stateName(seen)
      } (is its module loaded?)`,
  );
}

const deletedByForce = "its directory was deleted: removing by force";
/** Undoes what is held and starts anew. */
const redo = [note("removing"), remove];
/** Nothing is held any more, but there is a directory: it starts over. */
const fresh = () => ({
  acquired: false,
  complete: false,
  held: false,
  attachId: null,
  stage: null,
  error: null,
  evicted: false,
  busy: false,
  freed: false,
  overtime: false,
  told: [],
});

/** What `remove` has given back. */
const released = () => ({ acquired: false });

/** Phases in which `remove` runs, or has failed and is to run again. */
const UNDOING: readonly Phase[] = ["undoing", "redoing", "removing", "overdue", "finishing"];

/** It is not stuck any more. */
const unstuck = { stuck: null, tries: 0, paused: false } as const;

/** What follows when nothing is held any more, or a person has given it up: what was left stays. */
function removeEnds(row: RowBase): Row[] {
  const { effects = () => [], set = () => ({}) } = row;
  const ends: RowBase = { ...row, set: (...args) => ({ ...set(...args), ...unstuck }) };
  return [
    {
      ...ends,
      on: "remove-done",
      effects: (...args) => [
        ...(args[0].stuck === null ? [] : [report("undone at last")]),
        ...effects(...args),
      ],
    },
    {
      ...ends,
      on: "given-up",
      when: [...row.when ?? [], "paused"],
      tells: givenUp,
    },
  ];
}

/** What has failed, in words, while it is undone. */
function undoFailed({ phase, busy }: LifecycleState, event: LifecycleEvent): string {
  const what = phase !== "undoing"
    ? "undoing it failed"
    : `undoing the ${busy ? "refused" : "failed"} setup failed too`;
  return `${what}, and is tried again: ${errorOf(event)}`;
}

const again: readonly Effect[] = [
  { do: "stop-timer", timer: "retry" },
  { do: "remove", again: true },
];
const triedAgain = () => ({ paused: false });

function pauseBeforeRetry(
  { tries }: LifecycleState,
  _: LifecycleEvent,
  { times: { retry, retryMost } }: LifecycleRules,
): Effect[] {
  const ms = Math.min(retry * 2 ** Math.min(tries, 30), Math.max(retry, retryMost));
  return [{ do: "start-timer", timer: "retry", ms }];
}

const stuckAgain = (event: LifecycleEvent, { tries, error }: LifecycleState) => ({
  stuck: errorOf(event),
  tries: tries + 1,
  paused: true,
  // What its setup failed with is remembered as such.
  error,
});

const givenUp: Teller = ({ stuck }) => ({
  level: "warning",
  text: coded("setup-left", `given up, as was asked for: what is left of it stays (${stuck})`),
});

/** What a row does besides. */
type Doing = Pick<RowBase, "effects" | "set">;

/** In one of these phases, on this event, if all these hold: to that phase. */
function row<On extends Row["on"]>(
  from: readonly Phase[],
  on: On,
  when: readonly GuardName[],
  to: Phase,
  // A failure never passes without its cause.
  ...[doing]: On extends FailureType ? [Doing & { readonly tells: Teller }]
    : [(Doing & { readonly tells?: Teller })?]
): Row {
  return { from, on, when, to, ...doing } as Row;
}

/** The table: order matters, the first row that fits decides. */
export const TABLE: readonly Row[] = [
  // A device turns up: just created, or there already when the daemon started.
  row(["absent"], "seen", ["gone"], "absent", { effects: () => [forget] }),
  row(["absent", "waiting"], "seen", ["refused"], "failed", {
    tells: refusal,
    effects: (state) => fail(state.observation.fault ?? ""),
  }),
  row(["absent", "waiting"], "seen", ["wanted", "proven"], "connected", {
    effects: () => [adopt, report("was set up before: adopted as it is")],
    set: () => ({ acquired: true, complete: true }),
  }),
  row(["absent", "waiting"], "seen", ["ready"], "recording", {
    effects: () => [{ do: "record" }],
    set: () => ({ error: null }),
  }),
  row(["absent"], "seen", ["wanted"], "waiting", {
    effects: (...args) => [...startWaiting(...args), { do: "mark" }],
  }),
  // Without a guest's directory: it may be about to be written, or is a leftover; closed, it is one.
  row(["absent", "waiting"], "seen", ["dead", "over"], "settling", {
    effects: (...args) => [report("its guest is gone: removing it"), ...settle(...args)],
    set: (_, state) => ({ acquired: state.observation.served, held: false }),
  }),
  // It took the place of one that was waited for.
  row(["waiting"], "seen", ["anew"], "waiting", {
    effects: (...args) => [
      { do: "stop-timer", timer: "wait" },
      ...startWaiting(...args),
      { do: "mark" },
    ],
  }),
  row(["absent", "waiting"], "seen", ["dead"], "waiting", { effects: startWaiting }),
  // The detach began, or was over, while no daemon ran.
  row(["absent"], "seen", ["detached"], "settling", { effects: settle, set: inherited }),
  row(["absent"], "seen", ["closing"], "closing", { set: inherited }),

  // Known from the journal.
  row(["recovering"], "orphans-gone", [], "recovered", { set: () => unstuck }),
  // While they may be at it, nothing is touched.
  {
    from: ["recovering"],
    on: "orphans-left",
    tells: failed("warning", "it is not touched yet, and looked at again", "removal-failed"),
    effects: pauseBeforeRetry,
    set: stuckAgain,
  },
  ...(["retry-expired", "helped"] as const).map((on): Row => ({
    from: ["recovering"],
    on,
    when: ["paused"],
    effects: () => [{ do: "stop-timer", timer: "retry" }, { do: "await-orphans", ms: 0 }],
    set: triedAgain,
  })),
  row(["recovering"], "given-up", ["paused"], "recovered", { tells: givenUp, set: () => unstuck }),
  row(["recovered"], "seen", ["gone", "acquired"], "settling", {
    tells: warning(deletedByForce),
    effects: settle,
    set: byForce,
  }),
  row(["recovered"], "seen", ["was-failed", "busy"], "busy", {
    effects: (...args) => [...keepOpen(...args), awaitRelease],
  }),
  row(["recovered"], "seen", ["was-failed"], "failed"),
  row(["recovered"], "seen", ["was-undoing"], "undoing", { effects: () => [remove] }),
  row(["recovered"], "seen", ["was-removed"], "settling", { effects: settle, set: watched }),
  row(["recovered"], "seen", ["was-connected"], "connected", {
    effects: () => [adopt, report("was set up before: adopted as it is")],
    set: () => ({ complete: true }),
  }),
  row(["recovered"], "seen", ["was-adding", "wanted", "served"], "connected", {
    effects: () => [
      note("connected"),
      adopt,
      report("its setup had succeeded meanwhile: adopted"),
    ],
    set: () => ({ complete: true }),
  }),
  row(["recovered"], "seen", ["closing"], "closing"),
  row(["recovered"], "seen", ["removal"], "settling", { effects: settle, set: watched }),
  // Until the nodes make sense again.
  row(["recovered"], "seen", ["unclear"], "recovered"),
  row(["recovered"], "seen", [], "redoing", {
    tells: warning("was interrupted half way: undoing it first"),
    effects: () => redo,
  }),

  // Waiting for the kernel backend.
  row(["waiting"], "seen", ["gone"], "absent", { effects: () => [forget] }),
  row(["waiting"], "seen", ["detached", "served"], "settling", { effects: settle, set: inherited }),
  row(["waiting"], "seen", ["detached"], "settling", { effects: settle, set: watched }),
  row(["waiting"], "seen", ["closing", "served"], "closing", { set: inherited }),
  row(["waiting"], "seen", ["closing"], "closing"),
  row(["waiting"], "wait-expired", ["dead"], "settling", {
    tells: warning("its frontend does not exist: removing what is left"),
    effects: settle,
    set: (_, state) => ({ acquired: state.observation.served, held: false }),
  }),
  // Closed by a guest that may come back: there is no hurry.
  row(["waiting"], "wait-expired", ["idle"], "waiting"),
  // Its nodes make no sense just now.
  row(["waiting"], "wait-expired", ["unclear"], "waiting"),
  row(["waiting"], "wait-expired", [], "failed", {
    tells: (state, _, rules) => ({ level: "error", text: waitExpired(state, rules) }),
    effects: (state, _, rules) => fail(waitExpired(state, rules)),
  }),

  // The record comes first: nothing is ever held of which the journal does not know.
  row(["recording"], "recorded", ["ready"], "adding", {
    effects: () => [{ do: "add" }],
    set: () => ({ acquired: true, redone: false }),
  }),
  row(["recording"], "recorded", [], "waiting", {
    effects: (...args) => [drop, ...startWaiting(...args)],
    set: () => ({ attachId: null }),
  }),
  row(["recording"], "record-missed", [], "waiting", {
    effects: (...args) => [drop, ...startWaiting(...args)],
    set: () => ({ attachId: null }),
  }),
  row(["recording"], "record-failed", [], "failed", {
    tells: failed("error"),
    effects: (_, event) => [drop, ...fail(errorOf(event))],
    set: () => ({ attachId: null }),
  }),

  // Setting up.
  ...(["unwanted", "replaced"] as const).map((guard): Row =>
    row(["adding"], "seen", [guard], "aborting", { effects: () => [{ do: "abort-add" }] })
  ),
  row(["adding"], "seen", ["asked"], "aborting", {
    effects: () => [{ do: "abort-add" }, { do: "request-close" }],
  }),
  row(["adding"], "add-done", [], "connected", {
    effects: () => [note("connected"), reached("connected")],
    set: () => ({ complete: true, overtime: false, told: [] }),
  }),
  row(["adding"], "add-failed", [], "undoing", {
    tells: failed("error"),
    effects: (_, event) => [
      { do: "publish-error", error: errorOf(event) },
      { do: "note", stage: "undoing", error: errorOf(event) },
      remove,
    ],
  }),
  row(["adding"], "add-busy", [], "undoing", {
    tells: failed("error"),
    effects: (_, event) => [
      { do: "publish-error", error: errorOf(event), busy: true },
      { do: "note", stage: "undoing", error: errorOf(event) },
      remove,
    ],
    set: () => ({ busy: true }),
  }),
  ...(["add-done", "add-stopped", "add-failed", "add-busy"] as const).flatMap((on): Row[] => {
    // How a setup ended that was stopped is no failure.
    const wasStopped = (_: LifecycleState, event: LifecycleEvent, __: LifecycleRules): Effect[] =>
      "how" in event ? [report(event.how)] : [];
    // What its setup failed with is to be read for as long as there is a directory.
    const why = on === "add-failed" || on === "add-busy" ? publish : wasStopped;
    const ending = (rest: Omit<RowBase, "from"> & { tells?: Teller }): Row =>
      on === "add-failed" || on === "add-busy"
        ? { from: ["aborting"], ...rest, on, tells: addFailed }
        : { from: ["aborting"], ...rest, on };
    return [
      ending({
        when: ["gone"],
        to: "settling",
        tells: warning(deletedByForce),
        effects: (...args) => [...wasStopped(...args), ...settle(...args)],
        set: byForce,
      }),
      ending({
        when: ["removal"],
        to: "settling",
        effects: (...args) => [...why(...args), ...settle(...args)],
        set: watched,
      }),
      ending({ when: ["closing"], to: "closing", effects: why }),
      // It is wanted again, or another one is, though its setup was stopped half way.
      ending({
        to: "redoing",
        effects: (...args) => [...wasStopped(...args), ...redo],
      }),
    ];
  }),

  // An undoing that failed is not done: record, claim and lane stay, and it is tried again.
  {
    from: UNDOING,
    on: "remove-failed",
    tells: (state, event) => ({
      level: "warning",
      text: coded("removal-failed", undoFailed(state, event)),
    }),
    effects: (state, event, rules) => {
      const text = undoFailed(state, event);
      const isThere = state.observation.present && !guards.replaced(state);
      const isNews = isThere && state.stuck !== errorOf(event);
      // What was never set up is to be seen closed all the same.
      const isFirst = state.phase === "undoing" && !state.busy && state.stuck === null;
      return [
        ...(isNews ? [{ do: "publish-error", error: text, besides: true }] as const : []),
        ...(isFirst ? [closeBackend] : []),
        ...pauseBeforeRetry(state, event, rules),
      ];
    },
    set: stuckAgain,
  },
  ...(["retry-expired", "helped"] as const).map((on): Row => ({
    from: UNDOING,
    on,
    when: ["paused"],
    effects: () => again,
    set: triedAgain,
  })),
  // It may have been in the way.
  {
    from: UNDOING,
    on: "seen",
    when: ["paused", "turned"],
    effects: () => again,
    set: triedAgain,
  },
  // Another one in its place is not served beside it, and whoever made it learns why.
  {
    from: UNDOING,
    on: "seen",
    when: ["stuck", "replaced", "undisputed", "unsaid"],
    effects: (state) => [{
      do: "publish-error",
      error:
        `not served yet: undoing the attach before it failed, and is tried again: ${state.stuck}`,
      busy: true,
      another: true,
    }],
    set: (_, state) => ({ error: state.error }),
  },

  // A failed setup is undone; the directory stays, its fate is the toolstack's.
  ...removeEnds({
    from: ["undoing"],
    when: ["busy", "overtime"],
    to: "busy",
    effects: () => [refused, closeBackend, awaitRelease],
    set: () => ({ ...released(), overtime: false }),
  }),
  ...removeEnds({
    from: ["undoing"],
    when: ["busy"],
    to: "busy",
    effects: (...args) => [refused, ...keepOpen(...args), awaitRelease],
    set: released,
  }),
  ...removeEnds({
    from: ["undoing"],
    to: "failed",
    effects: () => [note("failed"), closeBackend],
    set: released,
  }),
  // Nobody else would close it.
  row(["undoing"], "seen", ["closing"], "undoing", { effects: () => [closeBackend] }),
  // The toolstack wants it removed, and does not wait for ever.
  ...(["undoing", "redoing"] as const).flatMap((phase): Row[] => {
    const late = (when: readonly GuardName[], effects: readonly Effect[]): Row => ({
      from: [phase],
      on: "budget-expired",
      when,
      to: "overdue",
      tells: warning("undoing it takes long: its directory is deleted meanwhile"),
      effects: () => effects,
    });
    const leave = (when: readonly GuardName[], effects: readonly Effect[]): Row[] => [
      late(when, effects),
      // Whoever wants it gone does not wait for the next try.
      row([phase], "seen", ["paused", ...when], "overdue", { effects: () => effects }),
    ];
    const rows = [
      ...(phase === "redoing"
        ? [late(["detached", "replaced"], [{ do: "delete", another: true }])]
        : []),
      ...leave(["detached", "independent"], [{ do: "delete" }]),
      ...leave(["detached"], [{ do: "leave-directory" }, { do: "delete" }]),
    ];
    return [
      ...rows,
      row([phase], "seen", ["detached"], phase, { effects: limitUndoing }),
    ];
  }),
  // Another one in its place waits for no longer than whoever made it wants.
  {
    from: ["removing", "finishing"],
    on: "seen",
    when: ["paused", "replaced", "detached"],
    effects: () => [{ do: "delete", another: true }],
  },
  ...(["overdue", "removing", "finishing"] as const).map((phase): Row =>
    row([phase], "remove-stopped", [], phase, { effects: () => [{ do: "remove", again: true }] })
  ),
  row(["failed", "busy"], "seen", ["gone"], "absent", { effects: () => [drop, forget] }),
  row(["failed", "busy", "closing", "undeletable"], "seen", ["replaced", "clean"], "waiting", {
    // It may have been told why it had to wait.
    effects: ({ observation }) => observation.report === "failed" ? [cleanse, drop] : [drop],
    set: fresh,
  }),
  // Another one in its place, of which nobody knows yet why it fails.
  row(["failed"], "seen", ["refused", "anew"], "failed", {
    tells: refusal,
    effects: (state) => fail(state.observation.fault ?? ""),
  }),
  row(["failed"], "seen", ["mended"], "waiting", {
    effects: (...args) => [cleanse, ...startWaiting(...args)],
    set: sound,
  }),
  row(["failed", "busy"], "seen", ["removal"], "settling", { effects: settle, set: watched }),
  // The toolstack's Closing came after our Closed: nobody else would close it again.
  row(["failed"], "seen", ["closing"], "failed", { effects: () => [closeBackend] }),

  // What was refused is taken up while it is wanted, and never after somebody has asked for its end.
  ...(["closing", "asked"] as const).map((guard): Row =>
    row(["busy"], "seen", [guard], "failed", {
      effects: () => [closeBackend],
      set: () => ({ busy: false }),
    })
  ),
  row(["busy"], "seen", ["freed", "ready"], "recording", { effects: () => takeUp, set: takenUp }),
  // Whether it can be served by now is to be seen.
  row(["busy"], "released", [], "busy", { set: () => ({ freed: true }) }),
  // A guest that has seen it closed may have to begin anew: so not at once.
  row(["busy"], "patience-expired", [], "busy", {
    effects: (_, __, { times }) => [
      report(`what it needs was not released within ${times.busy / 1000} s: its backend is closed`),
      closeBackend,
    ],
  }),
  ...(["recording", "adding", "undoing"] as const).map((phase): Row =>
    row([phase], "patience-expired", [], phase, { set: () => ({ overtime: true }) })
  ),

  // What was half done, or done for a directory that is no more, is undone; then all starts anew.
  ...removeEnds({
    from: ["redoing"],
    to: "waiting",
    effects: () => [cleanse, drop],
    set: () => ({ ...fresh(), redone: true }),
  }),

  // In use, until it is not wanted any more.
  row(["connected", "closing", "lingering"], "seen", ["gone", "acquired"], "settling", {
    tells: warning(deletedByForce),
    effects: settle,
    set: byForce,
  }),
  row(["closing"], "seen", ["gone"], "absent", { effects: () => [drop, forget] }),
  row(["connected", "closing", "lingering"], "seen", ["replaced", "acquired"], "redoing", {
    tells: warning("its directory was deleted and made anew: starting anew"),
    effects: () => redo,
  }),
  row(["connected", "lingering"], "seen", ["closing"], "closing"),
  row(["connected", "closing", "lingering"], "seen", ["detached"], "settling", {
    effects: settle,
    set: watched,
  }),
  row(["connected"], "seen", ["dead", "qemu"], "lingering", {
    effects: (_, __, { times }) => [
      report("its guest is gone: its QEMU gets time to end"),
      { do: "start-timer", timer: "linger", ms: times.qemuExit },
    ],
  }),
  row(["connected", "closing"], "seen", ["dead"], "settling", {
    effects: (...args) => [report("its guest is gone: removing it"), ...settle(...args)],
    set: watched,
  }),
  row(["lingering"], "linger-expired", [], "settling", {
    effects: (...args) => [closeBackend, ...settle(...args)],
    set: watched,
  }),
  row(["lingering"], "seen", ["wanted"], "connected"),
  // Unplugged, say: guest and toolstack are told, once; the toolstack is to remove it.
  ...(["connected", "closing"] as const).map((phase): Row =>
    row([phase], "broken", ["sound"], phase, {
      tells: failed("error"),
      effects: (_, event) => [
        { do: "publish-error", error: errorOf(event) },
        { do: "signal-closing" },
      ],
    })
  ),
  // What was set up is no more, though nobody asked for its end: it is set up anew.
  row(["connected"], "undone", ["wanted"], "redoing", {
    effects: () => [report("setting it up again"), ...redo],
    tells: failed("warning", "what was set up is lost"),
  }),
  // Closed as if the toolstack had asked for it; that sees why.
  row(["connected"], "evicted", ["undisputed"], "connected", {
    tells: failed("error"),
    effects: (_, event) => [{ do: "publish-error", error: errorOf(event), busy: true }],
    set: () => ({ evicted: true }),
  }),
  // What comes after that is worth a line again.
  row(["connected"], "healed", [], "connected", { set: sound }),
  // Its QEMU is gone: nobody else would close it.
  row(["closing"], "seen", ["closing", "unserved"], "closing", { effects: () => [closeBackend] }),
  // The daemon closes it.
  row(["connected", "waiting"], "seen", ["undisputed", "asked"], "closing", {
    effects: (...args) => [{ do: "request-close" }, ...limitClosing(...args)],
  }),
  row(["waiting"], "seen", ["present"], "waiting", { effects: startWaiting }),
  // The toolstack thought better of it.
  row(["closing"], "seen", ["wanted", "complete"], "connected"),
  row(["closing"], "seen", ["wanted", "acquired"], "redoing", { effects: () => redo }),
  row(["closing"], "seen", ["wanted", "clean"], "waiting", { effects: startWaiting }),
  ...(["asked", "abandoned"] as const).map((guard): Row =>
    row(["closing"], "seen", [guard], "closing", { effects: limitClosing })
  ),
  row(["closing"], "destroy-expired", [], "settling", {
    tells: (_, __, { times }) => ({
      level: "warning",
      text: `its guest did not close it within ${times.destroy / 1000} s: removing by force`,
    }),
    effects: (...args) => [closeBackend, ...settle(...args)],
    set: watched,
  }),

  // Closed: wait for the kernel, undo, wait for the toolstack, delete.
  ...(["settling", "removing"] as const).map((phase): Row =>
    row([phase], "hold-expired", [], phase, { set: () => ({ held: true }) })
  ),
  ...(["kernel-released", "kernel-kept"] as const).flatMap((on): Row[] => {
    const ending = (rest: Omit<RowBase, "from">): Row =>
      on === "kernel-kept"
        ? { from: ["settling"], on, tells: failed("warning"), ...rest }
        : { from: ["settling"], on, ...rest };
    return [
      ending({ when: ["acquired"], to: "removing", effects: () => [note("removing"), remove] }),
      ending({ when: ["held"], to: "deleting", effects: () => [{ do: "delete" }] }),
      ending({ to: "holding" }),
    ];
  }),
  row(["removing"], "budget-expired", ["independent"], "overdue", {
    tells: warning(
      coded("removal-slow", "its removal takes long: it goes on without the directory"),
    ),
    effects: () => [{ do: "delete" }],
  }),
  row(["removing"], "budget-expired", [], "removing", {
    tells: (_, __, { times }) => ({
      level: "warning",
      text: coded(
        "removal-slow",
        `its removal takes more than ${times.budget / 1000} s: the toolstack may give up waiting`,
      ),
    }),
  }),
  ...removeEnds({
    from: ["removing"],
    when: ["held"],
    to: "deleting",
    effects: () => [note("removed"), { do: "delete" }],
    set: released,
  }),
  ...removeEnds({
    from: ["removing"],
    to: "holding",
    effects: () => [note("removed")],
    set: released,
  }),
  ...removeEnds({
    from: ["overdue"],
    to: "deleting",
    effects: () => [note("removed")],
    set: released,
  }),
  ...removeEnds({
    from: ["finishing"],
    to: "absent",
    // One that has come meanwhile was told why it had to wait.
    effects: ({ stuck }) => [
      ...(stuck === null ? [] : [cleanse]),
      ...[drop, reached("removed"), forget],
    ],
  }),
  row(["overdue"], "deleted", [], "finishing"),
  row(["overdue"], "delete-refused", [], "removing", { set: byForce }),
  row(["overdue"], "delete-failed", [], "removing", {
    tells: failed("warning", "its directory cannot be deleted", "directory-stays"),
    set: byForce,
  }),
  row(["holding"], "hold-expired", [], "deleting", { effects: () => [{ do: "delete" }] }),
  row(["deleting"], "deleted", [], "absent", { effects: () => [drop, reached("removed"), forget] }),
  row(["deleting"], "delete-refused", [], "waiting", {
    effects: (_, event) => [
      report(`removed; its directory stays: ${errorOf(event)}`),
      cleanse,
      drop,
    ],
    set: fresh,
  }),
  row(["deleting"], "delete-failed", [], "undeletable", {
    tells: failed("warning", "removed, but its directory cannot be deleted", "directory-stays"),
  }),
  row(["undeletable"], "seen", ["unwanted"], "deleting", { effects: () => [{ do: "delete" }] }),
  row(["undeletable"], "seen", ["wanted"], "waiting", {
    effects: () => [cleanse, drop],
    set: fresh,
  }),
];
