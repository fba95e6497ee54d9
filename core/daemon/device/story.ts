/** What the log tells of a device's life besides what goes wrong: how long it took, and why so long. */
import { stateName, XenbusState } from "../../xen/states.ts";
import type { LifecycleState, Phase } from "../../lifecycle/state.ts";
import { wishOf } from "../../lifecycle/observation.ts";
import type { Log } from "../../log/log.ts";
import type { Cancel, Clock } from "../../../platform/types.ts";
import type { Activity } from "../activity.ts";

/** When something takes long, in ms: the log says once what it waits for. */
export const LONG_MS = 5_000;

/** On the way to being set up, and on the way to being removed; in all others nothing is under way. */
const ATTACHING: ReadonlySet<Phase> = new Set(["recovering", "waiting", "recording", "adding"]);
const DETACHING: ReadonlySet<Phase> = new Set([
  ...["aborting", "undoing", "redoing", "closing", "lingering"],
  ...["settling", "removing", "overdue", "finishing", "deleting"],
] as Phase[]);

type Way = "attach" | "detach";

function wayOf(phase: Phase): Way | null {
  return ATTACHING.has(phase) ? "attach" : DETACHING.has(phase) ? "detach" : null;
}

/** Tells it of one device. */
export class Story {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #activity: Activity;
  #state: LifecycleState | null = null;
  #way: Way | null = null;
  #since = 0;
  #cancel: Cancel = () => {};

  constructor(clock: Clock, log: Log, activity: Activity) {
    this.#clock = clock;
    this.#log = log;
    this.#activity = activity;
  }

  /** To be told of each change of phase. */
  changed(before: Phase, state: LifecycleState): void {
    this.#state = state;
    const way = wayOf(state.phase);
    if (way === "detach" && (before === "connected" || before === "adding")) {
      this.#beginDetach(state);
    }
    if (way === this.#way) return;
    // Until the directory is deleted, or what was failed is taken up again.
    if (way === null && state.phase === "holding") return;
    this.#cancel();
    this.#way = way;
    if (way === null) return;
    this.#since = this.#clock.now();
    this.#cancel = this.#clock.after(LONG_MS, () => this.#tellWait());
  }

  /** To be told of what is observed while the phase stays. */
  observed(state: LifecycleState["observation"]): void {
    if (this.#state !== null) this.#state = { ...this.#state, observation: state };
  }

  /** How long it has taken: since it was seen first, or since its removal began. */
  get elapsedMs(): number {
    return this.#clock.now() - this.#since;
  }

  /** Tells nothing more. */
  end(): void {
    this.#cancel();
    this.#way = null;
  }

  #beginDetach({ observation }: LifecycleState): void {
    const wish = wishOf(observation);
    // Of what else ends it there is a line already.
    if (wish !== "closing" && wish !== "removal") return;
    this.#log.info(`detach: the toolstack asks for it (backend state ${shown(observation.state)})`);
  }

  #tellWait(): void {
    if (this.#state === null || this.#way === null) return;
    const { phase } = this.#state;
    const what = this.#activity.current ?? waitOf(this.#state);
    this.#log.info(
      `${this.#way} takes more than ${LONG_MS / 1000} s: ${phase}, still waiting for ${what}`,
    );
  }
}

function shown(state: XenbusState | undefined): string {
  return state === undefined ? "unknown" : stateName(state);
}

/** What is waited for when nothing is done. */
function waitOf({ phase, observation, stuck, paused }: LifecycleState): string {
  if (paused) return `another try at undoing it, which has failed: ${stuck}`;
  const state = `backend state ${shown(observation.state)}`;
  switch (phase) {
    case "recovering":
      return "processes that an earlier daemon had started";
    case "waiting":
      switch (wishOf(observation)) {
        case "idle":
          return `its guest, which has closed it and may come back (${state})`;
        case "dead":
          return "the guest's directory, which is not there or hidden";
        case "unclear":
          return "nodes state and online to make sense";
        default:
          return `the kernel backend to be ready, state ${shown(XenbusState.InitWait)} (${state})`;
      }
    case "closing":
      return `the guest to let go of it (${state})`;
    case "lingering":
      return "its QEMU to end";
    case "settling":
      return "the kernel to release it";
    case "deleting":
      return "the store to delete its directory";
    default:
      return "its plugin";
  }
}
