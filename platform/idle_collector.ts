/** When garbage is collected that a daemon has left. */
import { collectObjects } from "./tuning.ts";
import type { Clock } from "./types.ts";

/** How long nothing must have happened, in ms. */
const QUIET_MS = 1_000;

/** When it is done all the same, in ms after the first thing that happened. */
const LATEST_MS = 30_000;

/**
 * When nothing happens: collects garbage, once; nothing wakes the process after that. The runtime would
 * do so while a device is being set up, a millisecond or two each time; the engine does it by itself
 * when there is much.
 */
export class IdleCollector {
  readonly #clock: Clock;
  readonly #collect: () => void;
  #first = 0;
  #last = 0;
  #waits = false;

  /** @param collect what is done in the end */
  constructor(clock: Clock, collect: () => void = collectObjects) {
    this.#clock = clock;
    this.#collect = collect;
  }

  /** To be told of whatever leaves garbage. */
  busy(): void {
    this.#last = this.#clock.now();
    if (this.#waits) return;
    this.#first = this.#last;
    this.#waits = true;
    this.#wait(QUIET_MS);
  }

  #wait(ms: number): void {
    this.#clock.after(ms, () => {
      const now = this.#clock.now();
      const left = Math.min(this.#last + QUIET_MS, this.#first + LATEST_MS) - now;
      if (left > 0) return this.#wait(left);
      this.#waits = false;
      this.#collect();
    });
  }
}
