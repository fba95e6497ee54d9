/** How many events of a guest's are taken: who rings without end is heard at a bounded rate. */
import type { Clock } from "../types.ts";

/** Events that may come in a row before the rate counts. */
const BURST_MS = 100;
/** The shortest pause, in ms: one that is shorter is no pause to a timer. */
const PAUSE_MS = 5;

/** One guest's. */
export class EventBudget {
  readonly #perMs: number;
  readonly #most: number;
  readonly #clock: Clock;
  #left: number;
  #since: number;

  /** @param perSecond 1 or more */
  constructor(perSecond: number, clock: Clock) {
    this.#perMs = perSecond / 1000;
    this.#most = Math.max(1, this.#perMs * BURST_MS);
    this.#left = this.#most;
    this.#clock = clock;
    this.#since = clock.now();
  }

  /** Takes one event. @returns how long to wait before it is dealt with, in ms; 0: not at all */
  take(): number {
    const now = this.#clock.now();
    this.#left = Math.min(this.#most, this.#left + (now - this.#since) * this.#perMs);
    this.#since = now;
    this.#left -= 1;
    return this.#left >= 0 ? 0 : Math.max(PAUSE_MS, Math.ceil(-this.#left / this.#perMs));
  }
}
