/** A clock that moves only when it is told to. */
import type { Cancel, Clock } from "../../platform/types.ts";

interface Timer {
  readonly at: number;
  readonly fn: () => void;
}

/** Time in ms, from 0. */
export class FakeClock implements Clock {
  #now = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  after(ms: number, fn: () => void): Cancel {
    const timer = { at: this.#now + ms, fn };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Moves on at once, firing what falls due; promises do not settle in between. */
  skip(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#next(end);
      if (due === undefined) break;
      this.#fire(due);
    }
    this.#now = end;
  }

  /** Moves on, firing what falls due, and lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const due = this.#next(end);
      if (due === undefined) break;
      this.#fire(due);
    }
    this.#now = end;
    await settle();
  }

  #next(end: number): Timer | undefined {
    return [...this.#timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
  }

  #fire(due: Timer): void {
    this.#timers.delete(due);
    this.#now = Math.max(this.#now, due.at);
    due.fn();
  }
}

/** Lets everything run that is ready to. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}
