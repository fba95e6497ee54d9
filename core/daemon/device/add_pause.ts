/**
 * An add is let alone for a while, unless its directory is deleted: what is done so soon is undone
 * afterwards rather than stopped, and looking at it all the while takes time that it needs.
 */
import type { Clock } from "../../../platform/types.ts";

/** How long, in ms. */
const PAUSE_MS = 500;

/** The pause of one device's adds. */
export class AddPause {
  readonly #clock: Clock;
  #over: Promise<void> = Promise.resolve();
  #end = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the device may be looked at. */
  get over(): Promise<void> {
    return this.#over;
  }

  begin(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(PAUSE_MS, resolve);
    this.#over = promise;
    this.#end = () => {
      cancel();
      resolve();
    };
  }

  /** It may be looked at now. */
  end(): void {
    this.#end();
  }
}
