/** What the daemon remembers of its own work: for whoever asks, and for nothing that it does. */
import type { Clock } from "../../../platform/types.ts";
import { codeIn } from "../../messages/table.ts";
import { oneLine } from "../../log/log.ts";
import { Counters } from "./counters.ts";
import { FlightRecorder } from "./flight_recorder.ts";

/** How many failures are remembered, and how long a line of one may be, in characters. */
const [FAILURES_MAX, LINE_MAX] = [20, 500];

/** A failure that was told. */
export interface FailureReport {
  /** ISO 8601, UTC. */
  readonly at: string;
  /** As in `deviceName`. */
  readonly device: string;
  /** Of the message; `failed` for one without. */
  readonly code: string;
  readonly message: string;
}

/** All of it. */
export class Flight {
  readonly recorder: FlightRecorder;
  readonly counters = new Counters();
  readonly #failures: FailureReport[] = [];

  constructor(clock: Clock) {
    this.recorder = new FlightRecorder(clock);
  }

  /** The last ones, the newest last. */
  get failures(): readonly FailureReport[] {
    return this.#failures;
  }

  /** @param line as it is told to people */
  failed(device: string, line: string): void {
    this.counters.failure(line);
    this.#failures.push({
      ...{ at: new Date().toISOString(), device, code: codeIn(line) ?? "failed" },
      message: oneLine(line, LINE_MAX),
    });
    if (this.#failures.length > FAILURES_MAX) this.#failures.shift();
  }
}
