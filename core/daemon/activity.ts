/** What is being done for a device just now, for whoever asks why it takes long. */
import type { Clock } from "../../platform/types.ts";

interface Entry {
  readonly what: string;
  readonly since: number;
}

/** Of one device. */
export class Activity {
  readonly #clock: Clock;
  readonly #entries = new Set<Entry>();
  readonly #ended: (what: string, ms: number) => void;

  /** @param ended told of each that has ended, and how long it took */
  constructor(clock: Clock, ended: (what: string, ms: number) => void = () => {}) {
    this.#clock = clock;
    this.#ended = ended;
  }

  /**
   * Notes what is begun or waited for.
   * @param what completes a sentence that begins with "still waiting for"
   * @returns notes its end; calling it twice is harmless
   */
  begin(what: string): () => void {
    const entry = { what, since: this.#clock.now() };
    this.#entries.add(entry);
    return () => {
      if (this.#entries.delete(entry)) this.#ended(what, this.#clock.now() - entry.since);
    };
  }

  /** The newest of what has not ended, and for how long; null: nothing. */
  get current(): string | null {
    const { now } = this;
    return now === null ? null : `${now.what} (for ${shownTime(now.ms)})`;
  }

  /** The same for programs. */
  get now(): { readonly what: string; readonly ms: number } | null {
    // Mostly there is none, and there may be thousands of devices.
    if (this.#entries.size === 0) return null;
    const entry = [...this.#entries].at(-1);
    return entry === undefined ? null : { what: entry.what, ms: this.#clock.now() - entry.since };
  }
}

/** A time for people. @param ms milliseconds */
export function shownTime(ms: number): string {
  if (ms < 1000) return `${Math.max(1, Math.round(ms))} ms`;
  return ms < 100_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}
