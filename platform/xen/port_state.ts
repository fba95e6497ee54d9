/** One port of an event channel: told once until it is unmasked. */
import type { Port } from "./devices.ts";

/** What a port does to the outside. */
export interface PortEffects {
  unmask(): void;
  notify(): void;
  unbind(): void;
}

/** A port whose events come by `happened`, no further one before it is unmasked. */
export class PortState implements Port {
  readonly number: number;
  readonly #effects: PortEffects;
  #isBound = true;
  /** Of the next event; kept until it has been dealt with. */
  #next = Promise.withResolvers<boolean>();

  constructor(number: number, effects: PortEffects) {
    this.number = number;
    this.#effects = effects;
  }

  happened(): void {
    this.#next.resolve(true);
  }

  wait(): Promise<boolean> {
    return this.#next.promise;
  }

  unmask(): void {
    if (!this.#isBound) return;
    this.#next = Promise.withResolvers<boolean>();
    this.#effects.unmask();
  }

  notify(): void {
    if (this.#isBound) this.#effects.notify();
  }

  unbind(): void {
    if (!this.#isBound) return;
    this.#isBound = false;
    this.#next.resolve(false);
    // One that has come before, and was not dealt with, means nothing any more.
    this.#next = Promise.withResolvers<boolean>();
    this.#next.resolve(false);
    this.#effects.unbind();
  }
}
