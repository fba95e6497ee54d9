/**
 * The toolstack's side of one request, as a pure machine. A toolstack may end at any time; the next
 * one begins in `creating` (attach), `waiting` (wait), `detaching` or `forcing`, and the store tells
 * it the rest.
 */
import { type Machine, type Row, row, type Transition, transition } from "./machine.ts";
import { REQUEST_STATES, type RequestState } from "./nodes.ts";

export type ToolstackPhase =
  /** Begins an attach. */
  | "creating"
  /** Waits for the device to be connected. */
  | "waiting"
  /** Waits for the driver domain to let go of it. */
  | "detaching"
  /** The same, without regard to the guest. */
  | "forcing"
  /** The device is there. Final. */
  | "attached"
  /** It is prepared, and the request says that it is to be held there. Final. */
  | "held"
  /** It cannot be attached, or is no request's; nothing was changed. Final. */
  | "refused"
  /** Somebody else has removed the request, or is about to. Final. */
  | "lost"
  /** Nothing is left of it. Final. */
  | "detached"
  /** The driver domain does not answer; all was deleted without it. Final. */
  | "abandoned";

/** What can happen. */
export type ToolstackEvent =
  | "seen"
  /** A step's transaction found that what it expects is no more, and wrote nothing. */
  | "missed"
  /** The phase has lasted as long as it may. */
  | "expired";

/** What is done, each in one transaction. */
export type ToolstackStep = "create" | "publish" | "withdraw" | "force" | "clean" | "abandon";

/** One look at a device; all of it at one instant. */
export interface ToolstackSeen {
  /** libxl's record of the device: none, one that bears the request's token, or another one. */
  readonly record: "none" | "ours" | "foreign";
  /** Node `state` of the request; null without a request, `odd` if it is none of the words. */
  readonly state: RequestState | "odd" | null;
  /** Node `online`; false without a request. */
  readonly online: boolean;
  readonly force: boolean;
  /** Whether the frontend was published: node `frontend` is there. */
  readonly published: boolean;
  /** Whether the request is not to be connected yet. */
  readonly hold: boolean;
  /** Whether node `backend` is a path that this driver domain may serve this device at. */
  readonly credible: boolean;
}

type Guard =
  | "free"
  | "none"
  | "foreign"
  | "stripped"
  | "wanted"
  | "withdrawn"
  | "patient"
  | "held"
  | "ready"
  | "credible"
  | "connected"
  | "failed"
  | "disconnected";

const guards: Readonly<Record<Guard, (seen: ToolstackSeen) => boolean>> = {
  /** No such device, and no request but one that is done with. */
  free: ({ record, state }) => record === "none" && (state === null || state === "disconnected"),
  none: ({ state }) => state === null,
  /** A device that was made without a request. */
  foreign: ({ record, state }) => record !== "none" && state === null,
  /** The request's device is no more, as far as libxl knows. */
  stripped: ({ record }) => record !== "ours",
  wanted: ({ online }) => online,
  withdrawn: ({ online }) => !online,
  patient: ({ force }) => !force,
  held: ({ state, published, hold }) => state === "prepared" && !published && hold,
  ready: ({ state, published }) => state === "prepared" && !published,
  credible: ({ credible }) => credible,
  connected: ({ state }) => state === "connected",
  failed: ({ state }) => state === "error" || state === "disconnected",
  /** The driver domain's word that it holds nothing any more; nothing else counts. */
  disconnected: ({ state }) => state === "disconnected",
};

/** One row of the table. */
export type ToolstackRow = Row<ToolstackPhase, ToolstackEvent, Guard, ToolstackStep>;

/** The table. */
export const TOOLSTACK_TABLE: readonly ToolstackRow[] = [
  row(["creating"], "seen", ["free"], "waiting", "create"),
  row(["creating"], "seen", [], "refused"),

  row(["waiting"], "seen", ["withdrawn"], "lost"),
  // The guest was destroyed by a toolstack that knows nothing of requests.
  row(["waiting"], "seen", ["stripped"], "detaching", "withdraw"),
  row(["waiting"], "seen", ["connected"], "attached"),
  row(["waiting"], "seen", ["failed"], "detaching", "withdraw"),
  row(["waiting"], "seen", ["held"], "held"),
  row(["waiting"], "seen", ["ready", "credible"], "waiting", "publish"),
  row(["waiting"], "seen", ["ready"], "detaching", "withdraw"),
  row(["waiting"], "expired", [], "detaching", "withdraw"),

  row(["detaching", "forcing"], "seen", ["foreign"], "refused"),
  row(["detaching", "forcing"], "seen", ["none"], "detached"),
  row(["detaching", "forcing"], "seen", ["disconnected"], "detached", "clean"),
  row(["detaching"], "seen", ["wanted"], "detaching", "withdraw"),
  row(["detaching"], "expired", [], "forcing", "force"),
  row(["forcing"], "seen", ["patient"], "forcing", "force"),
  row(["forcing"], "expired", [], "abandoned", "abandon"),
  // Another toolstack was faster, and another one has made another request perhaps.
  row(["detached"], "missed", [], "lost"),
];

/** What a step's transaction finds, or it writes nothing. */
export interface ToolstackWrite {
  /** What `state` must be; null stands for no request. */
  readonly expects: readonly (RequestState | "odd" | null)[];
  /** What `online` must be, where that matters. */
  readonly online?: boolean;
  /** What the record must be, where that matters. */
  readonly record?: ToolstackSeen["record"];
}

/** All but no request. */
const ANY: ToolstackWrite["expects"] = [
  ...Object.keys(REQUEST_STATES) as RequestState[],
  "odd",
];

/** What each step depends on; it is read in the same transaction. */
export const TOOLSTACK_WRITES: Readonly<Record<ToolstackStep, ToolstackWrite>> = {
  create: { expects: [null, "disconnected"], record: "none" },
  publish: { expects: ["prepared"], online: true, record: "ours" },
  withdraw: { expects: ANY },
  force: { expects: ANY },
  clean: { expects: ["disconnected"] },
  abandon: { expects: ANY },
};

/** Whether a step may be done, by what was read in its transaction. */
export function mayStep(
  step: ToolstackStep,
  { state, online, record }: Pick<ToolstackSeen, "state" | "online" | "record">,
): boolean {
  const write = TOOLSTACK_WRITES[step];
  return write.expects.includes(state) && (write.online ?? online) === online &&
    (write.record ?? record) === record;
}

/** The toolstack's rules. */
export const TOOLSTACK: Machine<
  ToolstackPhase,
  ToolstackEvent,
  Guard,
  ToolstackStep,
  ToolstackSeen
> = { table: TOOLSTACK_TABLE, guards };

/** Takes one event. @param machine other rules, for the tests that change them */
export function toolstackTransition(
  phase: ToolstackPhase,
  event: ToolstackEvent,
  seen: ToolstackSeen,
  machine: typeof TOOLSTACK = TOOLSTACK,
): Transition<ToolstackPhase, ToolstackStep> {
  return transition(machine, phase, event, seen);
}

/** Phases in which a toolstack has nothing more to do. */
export const TOOLSTACK_FINAL: ReadonlySet<ToolstackPhase> = new Set<ToolstackPhase>([
  "attached",
  "held",
  "refused",
  "lost",
  "detached",
  "abandoned",
]);
