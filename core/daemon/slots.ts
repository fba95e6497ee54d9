/** How many operations may run at the same time: one guest must not delay another. */

/** Limits, in operations. */
export interface SlotLimits {
  /** For all guests together, beyond the first one of each. */
  readonly shared: number;
  /** For one guest. */
  readonly perGuest: number;
  /** For all guests together, in any case. */
  readonly total: number;
}

/** No constants of Xen's, which bounds nothing: a script is some ten processes and some 10 MB. */
export const DEFAULT_SLOTS: SlotLimits = { shared: 8, perGuest: 4, total: 64 };

/** Gives a slot back; calling it twice is harmless. */
export type Release = () => void;

interface Waiter {
  readonly guest: number;
  readonly admit: () => void;
}

/**
 * Slots for operations. A guest of which nothing runs gets one as long as there is any at all, so
 * that guests with many or slow operations keep only each other waiting. First come, first served
 * otherwise.
 */
export class Slots {
  readonly #limits: SlotLimits;
  readonly #running = new Map<number, number>();
  #total = 0;
  #waiting: Waiter[] = [];

  constructor(limits: SlotLimits = DEFAULT_SLOTS) {
    this.#limits = limits;
  }

  /** Operations that run now. */
  get running(): number {
    return this.#total;
  }

  /** Operations that wait for a slot. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Waits for a slot.
   * @throws the signal's reason when it fires before there is one
   */
  acquire(guest: number, signal: AbortSignal): Promise<Release> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<Release>();
    const onAbort = () => {
      this.#waiting = this.#waiting.filter((other) => other !== waiter);
      reject(signal.reason);
    };
    const waiter: Waiter = {
      guest,
      admit: () => {
        signal.removeEventListener("abort", onAbort);
        resolve(this.#take(guest));
      },
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.push(waiter);
    this.#admit();
    return promise;
  }

  #take(guest: number): Release {
    this.#total++;
    this.#running.set(guest, (this.#running.get(guest) ?? 0) + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#total--;
      const left = (this.#running.get(guest) ?? 1) - 1;
      if (left > 0) this.#running.set(guest, left);
      else this.#running.delete(guest);
      this.#admit();
    };
  }

  #admit(): void {
    for (;;) {
      const index = this.#waiting.findIndex(({ guest }) => this.#fits(guest));
      if (index < 0) return;
      const [waiter] = this.#waiting.splice(index, 1);
      waiter?.admit();
    }
  }

  #fits(guest: number): boolean {
    const { shared, perGuest, total } = this.#limits;
    const own = this.#running.get(guest) ?? 0;
    if (this.#total >= total) return false;
    if (own === 0) return true;
    return own < perGuest && this.#total - this.#running.size < shared;
  }
}
