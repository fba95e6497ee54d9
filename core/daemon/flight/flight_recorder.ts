/** Remembers how the last attaches and detaches went: who did what, when, and how long that took. */
import type { Clock } from "../../../platform/types.ts";
import { oneLine } from "../../log/log.ts";
import { type OperationName, tenths } from "./counters.ts";
import { FlightLog } from "./flight_log.ts";

/** How much is remembered of operations that have ended, in bytes. */
export const FLIGHT_BYTES_MAX = 512 * 1024;

/** How much of one operation: a script may print without end. In characters, about. */
export const OPERATION_BYTES_MAX = 6 * 1024;

/** How many of one device. */
export const OPERATIONS_OF_DEVICE = 6;

/** Events at the beginning of an operation that are kept, however many follow. */
const FIRST_KEPT = 12;

/** Longest text of an event, in characters. */
const TEXT_MAX = 300;

/** What an event takes besides its text, in characters, about. */
const EVENT_SIZE = 24;

/** Fields of an event in an operation's list. */
const WIDTH = 4;

/** Between fields, and behind each event, of one that has ended: no text has them. */
const [FIELD_END, LINE_END] = ["\t", "\n"];

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
  /** Flat, since there are many: when, who, what, how long. */
  readonly events: (number | string | null)[];
  /** Of the events, in characters, about. */
  size: number;
  lost: number;
  hasEnded: boolean;
}

/** Told of an event as it happens. */
export type FlightListener = (operation: Operation, event: FlightEvent) => void;

/** Remembers them, of all devices, also of those that are gone. */
export class FlightRecorder {
  readonly #clock: Clock;
  readonly #ended: FlightLog;
  /** The one that runs, by device. */
  readonly #running = new Map<string, Operation>();
  readonly #listeners = new Map<string, Set<FlightListener>>();

  constructor(clock: Clock, bytesMax = FLIGHT_BYTES_MAX) {
    this.#clock = clock;
    this.#ended = new FlightLog(bytesMax, OPERATIONS_OF_DEVICE);
  }

  /** What is taken for those that have ended, in bytes. */
  get bytes(): number {
    return this.#ended.bytes;
  }

  begin(device: string, operation: OperationName): Operation {
    const made: Operation = {
      ...{ device, operation, startedAt: Date.now(), start: this.#clock.now() },
      ...{ events: [], size: 0, lost: 0, hasEnded: false },
    };
    this.#running.set(device, made);
    return made;
  }

  add(operation: Operation, who: Actor, what: string, tookMs: number | null = null): void {
    if (operation.hasEnded) return;
    const { events } = operation;
    const text = oneLine(what, TEXT_MAX);
    const at = tenths(this.#clock.now() - operation.start);
    const took = tookMs === null ? null : tenths(tookMs);
    events.push(at, who, text, took);
    operation.size += EVENT_SIZE + text.length;
    while (operation.size > OPERATION_BYTES_MAX && events.length > WIDTH * (FIRST_KEPT + 1)) {
      const [, , lost] = events.splice(WIDTH * FIRST_KEPT, WIDTH);
      operation.lost++;
      operation.size -= EVENT_SIZE + (lost as string).length;
    }
    for (const tell of this.#listeners.get(operation.device) ?? []) {
      tell(operation, { atMs: at, who, what: text, tookMs: took });
    }
  }

  /** @param ms how long it took, if that is known better than here */
  end(operation: Operation, outcome: Outcome, error: string | null = null, ms?: number): void {
    if (operation.hasEnded) return;
    operation.hasEnded = true;
    const { device, start } = operation;
    if (this.#running.get(device) === operation) this.#running.delete(device);
    this.#ended.add(device, packed(operation, outcome, error, ms ?? this.#clock.now() - start));
  }

  /** What is remembered of a device, the oldest first. @param device as in `deviceName` */
  history(device: string): OperationReport[] {
    const running = this.#running.get(device);
    const texts = this.#ended.of(device);
    if (running !== undefined) texts.push(packed(running, "running", null, null));
    return texts.map(unpacked);
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
}

function packed(
  { operation, startedAt, lost, events }: Operation,
  outcome: Outcome,
  error: string | null,
  ms: number | null,
): string {
  const why = error === null ? "" : oneLine(error, TEXT_MAX);
  const duration = ms === null ? "" : tenths(ms);
  let text = [operation, startedAt, duration, outcome, lost, why].join(FIELD_END) + LINE_END;
  for (let at = 0; at < events.length; at += WIDTH) {
    text += events.slice(at, at + WIDTH).map((field) => field ?? "").join(FIELD_END) + LINE_END;
  }
  return text;
}

function unpacked(text: string): OperationReport {
  const [head = "", ...lines] = text.split(LINE_END).slice(0, -1);
  const [operation, startedAt, duration = "", outcome, lost, error = ""] = head.split(FIELD_END);
  return {
    operation: operation as OperationName,
    startedAt: new Date(Number(startedAt)).toISOString(),
    durationMs: numberIn(duration),
    outcome: outcome as Outcome,
    error: error === "" ? null : error,
    events: lines.map((line): FlightEvent => {
      const [at, who = "", what = "", took = ""] = line.split(FIELD_END);
      return { atMs: Number(at), who, what, tookMs: numberIn(took) };
    }),
    lost: Number(lost),
  };
}

function numberIn(text: string): number | null {
  return text === "" ? null : Number(text);
}
