/** Remembers how the last attaches and detaches went: who did what, when, and how long that took. */
import type { Clock } from "../../../platform/types.ts";
import { oneLine } from "../../log/log.ts";
import { type OperationName, tenths } from "./counters.ts";

/** How much is remembered in all; a few kB more while operations run. In bytes, about. */
export const FLIGHT_BYTES_MAX = 512 * 1024;

/** How much of one operation: a script may print without end. In bytes, about. */
export const OPERATION_BYTES_MAX = 6 * 1024;

/** How many of one device. */
export const OPERATIONS_OF_DEVICE = 6;

/** Events at the beginning of an operation that are kept, however many follow. */
const FIRST_KEPT = 12;

/** Longest text of an event, in characters. */
const TEXT_MAX = 300;

/** What an event takes besides its text, and an operation besides its events, in bytes. */
const [EVENT_BYTES, OPERATION_BYTES] = [64, 256];

/** Fields of an event in an operation's list. */
const WIDTH = 4;

/** How an operation has ended. */
export type Outcome = "running" | "done" | "failed" | "stopped" | "adopted";

/** Who does something. */
export type Actor = "toolstack" | "kernel" | "guest" | "daemon" | "plugin" | "script" | "QEMU";

/** Something that happened. */
export interface FlightEvent {
  /** Since the operation began, in ms. */
  readonly atMs: number;
  readonly who: string;
  readonly what: string;
  /** How long it took, in ms; null: nobody has measured that. */
  readonly tookMs: number | null;
}

/** One attach or detach. */
export interface OperationReport {
  readonly operation: OperationName;
  /** When it began; ISO 8601, UTC. */
  readonly startedAt: string;
  /** null while it runs. */
  readonly durationMs: number | null;
  readonly outcome: Outcome;
  readonly error: string | null;
  /** In the order in which they were noticed. */
  readonly events: readonly FlightEvent[];
  /** How many events there were besides. */
  readonly lost: number;
}

/** An operation that is being recorded. */
export interface Operation {
  readonly device: string;
  readonly operation: OperationName;
  readonly startedAt: number;
  readonly start: number;
  durationMs: number | null;
  outcome: Outcome;
  error: string | null;
  /** Flat, since there are many: when, who, what, how long. */
  readonly events: (number | string | null)[];
  bytes: number;
  lost: number;
}

/** Told of an event as it happens. */
export type FlightListener = (operation: Operation, event: FlightEvent) => void;

/** Remembers them, of all devices, also of those that are gone. */
export class FlightRecorder {
  readonly #clock: Clock;
  readonly #bytesMax: number;
  readonly #byDevice = new Map<string, Operation[]>();
  /** Those that have ended, the oldest first. */
  readonly #ended: Operation[] = [];
  readonly #listeners = new Map<string, Set<FlightListener>>();
  #bytes = 0;

  constructor(clock: Clock, bytesMax = FLIGHT_BYTES_MAX) {
    this.#clock = clock;
    this.#bytesMax = bytesMax;
  }

  /** What is remembered, in bytes, about. */
  get bytes(): number {
    return this.#bytes;
  }

  begin(device: string, operation: OperationName): Operation {
    const made: Operation = {
      ...{ device, operation, startedAt: Date.now(), start: this.#clock.now() },
      ...{ durationMs: null, outcome: "running", error: null, events: [], lost: 0 },
      bytes: OPERATION_BYTES,
    };
    const operations = this.#byDevice.get(device) ?? [];
    if (operations.length === 0) this.#byDevice.set(device, operations);
    else if (operations.length >= OPERATIONS_OF_DEVICE) this.#drop(operations[0]!);
    operations.push(made);
    this.#bytes += made.bytes;
    this.#makeRoom();
    return made;
  }

  add(operation: Operation, who: Actor, what: string, tookMs: number | null = null): void {
    const text = what.length > TEXT_MAX ? oneLine(what, TEXT_MAX) : what;
    const at = tenths(this.#clock.now() - operation.start);
    const took = tookMs === null ? null : tenths(tookMs);
    operation.events.push(at, who, text, took);
    this.#grow(operation, EVENT_BYTES + text.length);
    while (
      operation.bytes > OPERATION_BYTES_MAX && operation.events.length > WIDTH * (FIRST_KEPT + 1)
    ) {
      const [, , lost] = operation.events.splice(WIDTH * FIRST_KEPT, WIDTH);
      operation.lost++;
      this.#grow(operation, -EVENT_BYTES - (lost as string).length);
    }
    this.#makeRoom();
    for (const tell of this.#listeners.get(operation.device) ?? []) {
      tell(operation, { atMs: at, who, what: text, tookMs: took });
    }
  }

  /** @param ms how long it took, if that is known better than here */
  end(operation: Operation, outcome: Outcome, error: string | null = null, ms?: number): void {
    if (operation.outcome !== "running") return;
    operation.durationMs = tenths(ms ?? this.#clock.now() - operation.start);
    operation.outcome = outcome;
    operation.error = error === null ? null : oneLine(error, TEXT_MAX);
    this.#grow(operation, operation.error?.length ?? 0);
    this.#ended.push(operation);
    this.#makeRoom();
  }

  /** What is remembered of a device, the oldest first. @param device as in `deviceName` */
  history(device: string): OperationReport[] {
    return (this.#byDevice.get(device) ?? []).map(reportOf);
  }

  /** @returns ends it */
  listen(device: string, listener: FlightListener): () => void {
    const listeners = this.#listeners.get(device) ?? new Set();
    this.#listeners.set(device, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(device);
    };
  }

  #grow(operation: Operation, bytes: number): void {
    operation.bytes += bytes;
    this.#bytes += bytes;
  }

  #makeRoom(): void {
    while (this.#bytes > this.#bytesMax && this.#ended.length > 0) this.#drop(this.#ended[0]!);
  }

  #drop(operation: Operation): void {
    const at = this.#ended.indexOf(operation);
    if (at >= 0) this.#ended.splice(at, 1);
    const operations = this.#byDevice.get(operation.device);
    const index = operations?.indexOf(operation) ?? -1;
    if (operations === undefined || index < 0) return;
    operations.splice(index, 1);
    this.#bytes -= operation.bytes;
    if (operations.length === 0) this.#byDevice.delete(operation.device);
  }
}

function reportOf(operation: Operation): OperationReport {
  const events: FlightEvent[] = [];
  for (let at = 0; at < operation.events.length; at += WIDTH) {
    const [atMs, who, what, tookMs] = operation.events.slice(at, at + WIDTH);
    events.push({ atMs, who, what, tookMs } as FlightEvent);
  }
  const { operation: name, startedAt, durationMs, outcome, error, lost } = operation;
  return {
    ...{ operation: name, startedAt: new Date(startedAt).toISOString(), durationMs, outcome },
    ...{ error, events, lost },
  };
}
