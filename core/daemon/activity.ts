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

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Notes what is begun or waited for.
   * @param what completes a sentence that begins with "still waiting for"
   * @returns notes its end; calling it twice is harmless
   */
  begin(what: string): () => void {
    const entry = { what, since: this.#clock.now() };
    this.#entries.add(entry);
    return () => void this.#entries.delete(entry);
  }

  /** The newest of what has not ended, and for how long; null: nothing. */
  get current(): string | null {
    const entry = [...this.#entries].at(-1);
    if (entry === undefined) return null;
    return `${entry.what} (for ${shownTime(this.#clock.now() - entry.since)})`;
  }
}

/** A time for people. @param ms milliseconds */
export function shownTime(ms: number): string {
  if (ms < 1000) return `${Math.max(1, Math.round(ms))} ms`;
  return ms < 100_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}
