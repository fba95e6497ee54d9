/**
 * The driver domain's side of one request, as a pure machine: its table, and what each step may
 * write, and when. The diagram in the docs is printed from both.
 *
 * ```
 *   unknown ─ preparing ─ prepared ─ connecting ─ connected ─ removing ─ unpreparing ─ released
 *                 └ undoing ─ failed ──────────────────────────┘                 unknown ┘
 * ```
 *
 * All that is remembered is the phase, and it can be told again from the store at any time: a daemon
 * that starts is in `unknown`, and so is one whose transaction found the request changed.
 */
import { type Machine, type Row, row, type Transition, transition } from "./machine.ts";
import type { RequestState } from "./nodes.ts";

/** Where the daemon is with a request. */
export type DriverPhase =
  /** The next look decides. */
  | "unknown"
  /** A version 2 script's `prepare` runs, if there is one. */
  | "preparing"
  /** It was told to stop. */
  | "aborting"
  /** `prepare` failed; `unprepare` runs. */
  | "undoing"
  /** The backend directory is there but for its `state`; waiting for the toolstack. */
  | "prepared"
  /** The device's lane sets it up. */
  | "connecting"
  | "connected"
  /** It failed and was undone; the toolstack is to withdraw the request. */
  | "failed"
  /** The device's lane closes and undoes it. */
  | "removing"
  /** Nothing of the device is left; `unprepare` runs. */
  | "unpreparing"
  /** Nothing is held any more; the next look decides what there is to tell. */
  | "released";

/** What can happen. */
export type DriverEvent =
  /** The store was looked at. */
  | "seen"
  /** A step's transaction found that what it expects is no more, and wrote nothing. */
  | "missed"
  /** A step could not be done. */
  | "failed"
  | "prepare-done"
  | "prepare-failed"
  /** Whether or not it succeeded. */
  | "unprepared";

/** What is done. */
export type DriverStep =
  | "claim"
  | "refuse"
  | "prepare"
  | "abort-prepare"
  | "unprepare"
  | "reserve"
  | "start"
  | "report-connected"
  | "report-error"
  | "begin-removal"
  | "close"
  | "close-by-force"
  | "report-disconnected"
  | "drop-claim";

/** How far the device itself is: its backend directory, and its lane in the daemon. */
export type DevicePlace =
  /** No directory, and nothing held. */
  | "none"
  /** The same, but the kernel has not let go of an earlier one of this number yet. */
  | "lingering"
  /** There is a directory that no request of this token has made; its lane sees to it. */
  | "foreign"
  /** There is the directory that was made for the request, still without `state`. */
  | "reserved"
  /** On its way, to or fro. */
  | "busy"
  | "connected"
  /** Its setup failed and was undone. */
  | "failed";

/** One look at a request; all of it at one instant. */
export interface DriverSeen {
  /** Node `state`; null without a request, `odd` if it is none of the words. */
  readonly state: RequestState | "odd" | null;
  /** Node `online`; anything but 0 counts for 1 here: what makes no sense removes nothing. */
  readonly online: boolean;
  readonly force: boolean;
  /** Whether the toolstack has published the frontend: node `frontend` is there. */
  readonly published: boolean;
  /** Whether a request for this device was accepted and not given back, by our own note of it. */
  readonly claimed: boolean;
  /** Whether the request cannot be served as it is written. */
  readonly faulty: boolean;
  readonly device: DevicePlace;
}

type Guard =
  | RequestState
  | "lost"
  | "wanted"
  | "withdrawn"
  | "forced"
  | "published"
  | "claimed"
  | "faulty"
  | "idle"
  | "vacant"
  | "up"
  | "down";

const is = (state: RequestState) => (seen: DriverSeen) => seen.state === state;

const guards: Readonly<Record<Guard, (seen: DriverSeen) => boolean>> = {
  new: is("new"),
  preparing: is("preparing"),
  prepared: is("prepared"),
  connecting: is("connecting"),
  connected: is("connected"),
  disconnecting: is("disconnecting"),
  disconnected: is("disconnected"),
  error: is("error"),
  /** The one that was accepted is no more; there may be another one. */
  lost: ({ state }) => state === null || state === "new",
  wanted: ({ online }) => online,
  withdrawn: ({ online }) => !online,
  forced: ({ force }) => force,
  published: ({ published }) => published,
  claimed: ({ claimed }) => claimed,
  faulty: ({ faulty }) => faulty,
  /** Nothing is left, or there yet, of the request's device. */
  idle: ({ device }) => device === "none" || device === "lingering" || device === "foreign",
  /** Nor of another one of the same number, which the kernel would take for it. */
  vacant: ({ device }) => device === "none",
  up: ({ device }) => device === "connected",
  down: ({ device }) => device === "failed",
};

/** One row of the table. */
export type DriverRow = Row<DriverPhase, DriverEvent, Guard, DriverStep>;

/** Phases in which the daemon has a request, by the `state` that tells a new daemon of them. */
const RESUMED = ["prepared", "connecting", "connected"] as const;
const SERVED = ["prepared", "connecting", "connected", "failed"] as const;

const ALL: readonly DriverPhase[] = [
  "unknown",
  "preparing",
  "aborting",
  "undoing",
  "prepared",
  "connecting",
  "connected",
  "failed",
  "removing",
  "unpreparing",
  "released",
];

/** The table. */
export const DRIVER_TABLE: readonly DriverRow[] = [
  row(ALL, "missed", [], "unknown"),

  // What an earlier daemon, or nobody, has begun.
  row(["unknown"], "seen", ["lost", "claimed"], "removing", "close-by-force"),
  row(["unknown"], "seen", ["new", "withdrawn"], "unknown", "report-disconnected"),
  row(["unknown"], "seen", ["new", "faulty"], "failed", "refuse"),
  row(["unknown"], "seen", ["new", "vacant"], "preparing", "claim", "prepare"),
  row(["unknown"], "seen", ["preparing"], "unpreparing", "unprepare"),
  ...RESUMED.map((state): DriverRow => row(["unknown"], "seen", [state], state)),
  row(["unknown"], "seen", ["error"], "failed"),
  row(["unknown"], "seen", ["disconnecting"], "removing", "close"),

  // What takes long comes first, while no guest waits.
  ...(["lost", "withdrawn"] as const).map((guard): DriverRow =>
    row(["preparing"], "seen", [guard], "aborting", "abort-prepare")
  ),
  row(["preparing"], "prepare-done", [], "prepared", "reserve"),
  row(["preparing"], "prepare-failed", [], "undoing", "unprepare"),
  row(["prepared"], "failed", [], "undoing", "unprepare"),
  ...(["prepare-done", "prepare-failed"] as const).map((on): DriverRow =>
    row(["aborting"], on, [], "unpreparing", "unprepare")
  ),
  row(["undoing"], "unprepared", [], "failed", "report-error"),

  // The toolstack goes away, or withdraws the request.
  row(SERVED, "seen", ["lost"], "removing", "close-by-force"),
  row(SERVED, "seen", ["withdrawn"], "removing", "begin-removal", "close"),
  // Somebody else has removed the device: another toolstack, or the guest's end.
  row(["prepared", "connecting", "connected"], "seen", ["idle"], "removing", "begin-removal"),

  // The frontend is there: so the kernel will find it, and the guest will find the backend.
  row(["prepared"], "seen", ["published"], "connecting", "start"),
  row(["connecting"], "seen", ["up"], "connected", "report-connected"),
  row(["connecting"], "seen", ["down"], "failed", "report-error"),

  // The device's lane does it; the rest comes when nothing is left of the device.
  row(["removing"], "seen", ["idle"], "unpreparing", "unprepare"),
  ...(["lost", "forced"] as const).map((guard): DriverRow =>
    row(["removing"], "seen", [guard], "removing", "close-by-force")
  ),
  row(["unpreparing"], "unprepared", [], "released"),
  row(["released"], "seen", ["lost"], "unknown", "drop-claim"),
  row(["released"], "seen", ["preparing", "wanted"], "preparing", "prepare"),
  row(["released"], "seen", [], "unknown", "report-disconnected"),
];

/** A step's transaction on the request. */
export interface DriverWrite {
  /** What `state` must be; another value, and nothing is written. */
  readonly expects: readonly RequestState[];
  /** What `online` must be, where that matters. */
  readonly online?: boolean;
  /** The value that `state` gets. */
  readonly to: RequestState;
}

/** The steps that write into the request; each reads what it depends on in the same transaction. */
export const DRIVER_WRITES: Readonly<Partial<Record<DriverStep, DriverWrite>>> = {
  claim: { expects: ["new"], online: true, to: "preparing" },
  refuse: { expects: ["new"], online: true, to: "error" },
  reserve: { expects: ["preparing"], online: true, to: "prepared" },
  start: { expects: ["prepared"], online: true, to: "connecting" },
  "report-connected": { expects: ["connecting"], online: true, to: "connected" },
  "report-error": { expects: ["preparing", "connecting"], to: "error" },
  "begin-removal": {
    expects: ["prepared", "connecting", "connected", "error"],
    to: "disconnecting",
  },
  "report-disconnected": {
    expects: ["preparing", "prepared", "connecting", "connected", "disconnecting", "error"],
    to: "disconnected",
  },
};

/** A request that was withdrawn before it was accepted. */
export const WITHDRAWN_EARLY: DriverWrite = {
  expects: ["new"],
  online: false,
  to: "disconnected",
};

/** The driver domain's rules. */
export const DRIVER: Machine<DriverPhase, DriverEvent, Guard, DriverStep, DriverSeen> = {
  table: DRIVER_TABLE,
  guards,
};

/** Takes one event. @param machine other rules, for the tests that change them */
export function driverTransition(
  phase: DriverPhase,
  event: DriverEvent,
  seen: DriverSeen,
  machine: typeof DRIVER = DRIVER,
): Transition<DriverPhase, DriverStep> {
  return transition(machine, phase, event, seen);
}

/** Whether a write may be done, by what was read in its transaction. */
export function mayWriteState(
  { expects, online }: DriverWrite,
  seen: Pick<DriverSeen, "state" | "online">,
): boolean {
  return seen.state !== null && seen.state !== "odd" && expects.includes(seen.state) &&
    (online === undefined || online === seen.online);
}
