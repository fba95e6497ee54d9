/** What one device's life leaves in the flight recorder and the counters. */
import { stateName } from "../../xen/states.ts";
import type { LifecycleState, Milestone, Phase } from "../../lifecycle/state.ts";
import { PHASE_WORDS } from "../../lifecycle/phase_words.ts";
import { ABSENT, type Observation } from "../../lifecycle/observation.ts";
import type { LogLevel } from "../../log/levels.ts";
import type { OperationName } from "./counters.ts";
import type { Flight } from "./flight.ts";
import type { Actor, Operation, Outcome } from "./flight_recorder.ts";

/** Phases in which an attach is under way; those that follow from one that fails are of it, too. */
const ATTACHING: ReadonlySet<Phase> = new Set(["waiting", "recording", "adding"]);
const AFTER_FAILURE: ReadonlySet<Phase> = new Set(["aborting", "undoing"]);
const RESTING: ReadonlySet<Phase> = new Set(["absent", "recovering", "recovered", "connected"]);
const FOUND: ReadonlySet<Phase> = new Set(["recovering", "recovered"]);
const FAILED: ReadonlySet<Phase> = new Set(["failed", "busy"]);

/** Waits that are shorter than this, in ms, are not worth a line. */
const WAIT_MIN_MS = 1;

/** Longest part of a node's value that is shown, in characters. */
const VALUE_MAX = 100;

/** A line that a program has printed: it begins with the program. */
const PRINTED = /^\/\S+: /;

/** Which operation a phase belongs to. @param running the one that is under way */
function operationIn(phase: Phase, running: OperationName | null): OperationName | null {
  if (ATTACHING.has(phase)) return "attach";
  if (RESTING.has(phase) || FAILED.has(phase)) return null;
  if (AFTER_FAILURE.has(phase)) return running ?? "attach";
  return "detach";
}

/** Whose nodes they are. */
export interface Flown {
  /** As in `deviceName`. */
  readonly name: string;
  readonly kind: string;
  /** Who takes the backend through its states. */
  readonly backend: "kernel" | "QEMU";
}

/** Takes notes. Nothing of it throws, and nothing waits for it. */
export class DeviceFlight {
  readonly #device: Flown;
  readonly #flight: Flight;
  #operation: Operation | null = null;
  #seen: Observation = ABSENT;

  constructor(device: Flown, flight: Flight) {
    this.#device = device;
    this.#flight = flight;
  }

  /** To be told of each change of phase. */
  changed(before: Phase, { phase, error, stuck }: LifecycleState): void {
    const running = this.#operation?.operation ?? null;
    const now = operationIn(phase, running);
    if (now !== null && now !== running) {
      this.#end("stopped", error);
      this.#operation = this.#flight.recorder.begin(this.#device.name, now);
      this.#tell(ABSENT, this.#seen);
    }
    // It had failed under an earlier daemon: this one did nothing.
    if (FAILED.has(phase) && running === null && FOUND.has(before)) return;
    if (FAILED.has(phase)) {
      this.#operation ??= this.#flight.recorder.begin(this.#device.name, "attach");
    }
    this.note("daemon", PHASE_WORDS[phase]);
    if (FAILED.has(phase)) {
      this.#flight.counters.failed(this.#device.kind, "attach");
      this.#end("failed", error ?? stuck);
    }
    // Of one that was set up just now, and of one that is gone, there is a milestone to come.
    if (phase === "connected" && before !== "adding" && before !== "aborting") {
      this.#end("adopted", null);
    }
  }

  /** To be told of each look. */
  observed(seen: Observation): void {
    const before = this.#seen;
    this.#seen = seen;
    this.#tell(before, seen);
  }

  note(who: Actor, what: string, tookMs: number | null = null): void {
    if (this.#operation === null) return;
    this.#flight.recorder.add(this.#operation, who, what, tookMs);
  }

  /** Something was done or waited for. @param what as in `Activity.begin` */
  took(what: string, ms: number): void {
    if (what.startsWith("script ")) this.note("script", what.slice("script ".length), ms);
    else if (ms >= WAIT_MIN_MS) this.note("daemon", `waited for ${what}`, ms);
  }

  /** Nodes of the backend directory were written. */
  wrote(who: Actor, nodes: Readonly<Record<string, string>>, tookMs: number | null = null): void {
    const values = Object.entries(nodes).map(([name, value]) =>
      `${name} = ${value.slice(0, VALUE_MAX)}`
    );
    if (values.length > 0) this.note(who, `backend: ${values.join(", ")}`, tookMs);
  }

  /** The daemon took the backend to another state: the next look tells nothing new. */
  tookTo(state: Observation["state"]): void {
    if (this.#seen.state === state) return;
    this.#seen = { ...this.#seen, state };
    this.note("daemon", `backend/state = ${shown(state)}`);
  }

  /** A line of the device's log. */
  logged(level: LogLevel, text: string): void {
    if (level !== "debug") this.note(PRINTED.test(text) ? "script" : "daemon", text);
  }

  /** A failure was told. */
  failed(text: string): void {
    this.#flight.failed(this.#device.name, text);
  }

  /** What was begun has come to its end. @param ms how long it took */
  reached(milestone: Milestone, ms: number): void {
    const operation = milestone === "connected" ? "attach" : "detach";
    this.#flight.counters.succeeded(this.#device.kind, operation, ms);
    this.#end("done", null, ms);
  }

  /** What was refused, or could not be undone, is tried again. */
  retried(): void {
    this.#flight.counters.retries++;
  }

  /** Nothing is left of it. */
  end(): void {
    this.#end("done", null);
  }

  #tell(before: Observation, seen: Observation): void {
    if (this.#operation === null) return;
    if (before.online !== seen.online && seen.online !== undefined) {
      this.note("toolstack", `backend/online = ${seen.online ? 1 : 0}`);
    }
    if (before.state !== seen.state && seen.state !== undefined) {
      this.note(
        before.present ? this.#device.backend : "toolstack",
        `backend/state = ${shown(seen.state)}`,
      );
    }
    if (before.report !== seen.report && seen.report !== "none") {
      this.note("daemon", `sees that hotplug-status tells: ${seen.report}`);
    }
    if (before.frontendPresent && !seen.frontendPresent && seen.present) {
      this.note("toolstack", "the guest's directory is gone");
    }
    if (before.present && !seen.present) this.note("toolstack", "the backend directory is gone");
  }

  #end(outcome: Outcome, error: string | null, ms?: number): void {
    if (this.#operation === null) return;
    this.#flight.recorder.end(this.#operation, outcome, error, ms);
    this.#operation = null;
  }
}

function shown(state: Observation["state"]): string {
  return state === undefined ? "none" : stateName(state);
}
