/** How much a process plugin may say. Pure but for the clock it is given. */
import type { Clock } from "../../platform/types.ts";

/** Lines that are logged in a second; what is more is counted and dropped. */
const LINES_PER_SECOND = 100;
/** Lines in a second that are too many to go on listening. */
const FLOOD_PER_SECOND = 20_000;
const SECOND_MS = 1000;
/** Requests in a second; a plugin that has more is listened to in the next one. */
const REQUESTS_PER_SECOND = 4_000;
/** Bytes in a second, likewise, … */
const BYTES_PER_SECOND = 16 * 1024 * 1024;
/** … and what all of it may cost the daemon, in ms; lines of log have an allowance of their own. */
const BUSY_MS_PER_SECOND = 400;
/** Requests after which all else in the daemon gets its turn. */
const REQUESTS_PER_TURN = 64;

/** What to do with a line. */
export type Verdict = "log" | "drop" | "flood";

/** Counts a plugin's lines. */
export class LineAllowance {
  readonly #clock: Clock;
  #since: number;
  #lines = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  /** Another line. @returns what to do with it, and how many were dropped before it */
  take(): { verdict: Verdict; dropped: number } {
    const now = this.#clock.now();
    let dropped = 0;
    if (now - this.#since >= SECOND_MS) {
      dropped = Math.max(0, this.#lines - LINES_PER_SECOND);
      this.#since = now;
      this.#lines = 0;
    }
    this.#lines++;
    const verdict = this.#lines > FLOOD_PER_SECOND
      ? "flood"
      : this.#lines > LINES_PER_SECOND
      ? "drop"
      : "log";
    return { verdict, dropped };
  }
}

/** Spreads what a plugin says, so that one that floods takes no more than its share of the daemon. */
export class ShareOfDaemon {
  readonly #clock: Clock;
  #since: number;
  #requests = 0;
  #bytes = 0;
  #busyMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  /** Does what the plugin has asked for, and counts its time. */
  spend<T>(work: () => T): T {
    const begun = this.#clock.now();
    try {
      return work();
    } finally {
      this.#busyMs += this.#clock.now() - begun;
    }
  }

  /** Bytes were read. @returns how long to listen no further, in ms; null for not at all */
  read(bytes: number): number | null {
    this.#bytes += bytes;
    return this.#pause();
  }

  /** Another request. @returns likewise */
  request(): number | null {
    this.#requests++;
    return this.#pause() ?? (this.#requests % REQUESTS_PER_TURN === 0 ? 0 : null);
  }

  #pause(): number | null {
    const passed = this.#clock.now() - this.#since;
    const isTooMuch = this.#requests >= REQUESTS_PER_SECOND || this.#bytes >= BYTES_PER_SECOND ||
      this.#busyMs >= BUSY_MS_PER_SECOND;
    if (passed >= SECOND_MS) {
      this.#since += passed;
      [this.#requests, this.#bytes, this.#busyMs] = [0, 0, 0];
    }
    return isTooMuch ? Math.max(0, SECOND_MS - passed) : null;
  }
}
