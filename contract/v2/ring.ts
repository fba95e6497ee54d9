/** The plugin contract, version 2: rings of requests and responses (xen/include/public/io/ring.h), the back side. */
import type { GuestMemory } from "./memory.ts";

/**
 * A ring. Its own indices are kept here: what the guest does to the shared ones is checked, and can make
 * it see nonsense, but never makes this side leave the ring or do without end.
 */
export class BackRing {
  /** Where the shared indices are, and where the entries begin (ring.h, DEFINE_RING_TYPES). */
  static readonly #places = { reqProd: 0, reqEvent: 4, rspProd: 8, rspEvent: 12, entries: 64 };
  /** How many entries it has: a power of two. */
  readonly size: number;
  readonly #memory: GuestMemory;
  readonly #at: number;
  readonly #entryBytes: number;
  readonly #requestBytes: number;
  readonly #responseBytes: number;
  /** Requests taken, responses put, responses shown to the guest; modulo 2^32. */
  #taken: number;
  #put: number;
  #shown: number;

  /**
   * @param at where in the memory it is
   * @param bytes its pages, in bytes; by default all the rest of the memory
   * @throws RangeError when no entry fits
   */
  constructor(
    memory: GuestMemory,
    { requestBytes, responseBytes, at = 0, bytes = memory.size - at }: {
      readonly requestBytes: number;
      readonly responseBytes: number;
      readonly at?: number;
      readonly bytes?: number;
    },
  ) {
    this.#entryBytes = Math.max(requestBytes, responseBytes);
    const most = Math.floor((bytes - BackRing.#places.entries) / this.#entryBytes);
    if (!(most >= 1) || at !== 0 && at % 4096 !== 0) {
      throw new RangeError(`a ring at ${at} of ${bytes} bytes has no entry of ${this.#entryBytes}`);
    }
    this.size = 2 ** Math.floor(Math.log2(most));
    this.#memory = memory;
    this.#at = at;
    this.#requestBytes = requestBytes;
    this.#responseBytes = responseBytes;
    // As BACK_RING_ATTACH: one that was served before goes on where its responses end.
    this.#taken = this.#put = this.#shown = memory.read32(at + BackRing.#places.rspProd);
  }

  /** Requests that are not answered yet. */
  get pending(): number {
    return (this.#taken - this.#put) >>> 0;
  }

  /**
   * A copy of the next request; null when there is none, or as many are unanswered as the ring has.
   * @throws Error with code `EPROTO` when the guest says that there are more than the ring has: it does not
   * keep to the protocol, and the connection cannot go on
   */
  take(): Uint8Array | null {
    const produced = this.#memory.read32(this.#at + BackRing.#places.reqProd);
    const waiting = (produced - this.#taken) >>> 0;
    if (waiting > this.size || ((produced - this.#put) >>> 0) > this.size) {
      const why =
        `the guest's ring says that ${waiting} requests wait; it has room for ${this.size}`;
      throw Object.assign(new Error(why), { code: "EPROTO" });
    }
    if (waiting === 0 || this.pending >= this.size) return null;
    const bytes = this.#memory.read(this.#entry(this.#taken), this.#requestBytes);
    this.#taken = (this.#taken + 1) >>> 0;
    return bytes;
  }

  /**
   * Puts the response to one request; the guest sees it after {@link push}.
   * @throws RangeError when it is longer than a response, or nothing was asked
   */
  respond(response: Uint8Array): void {
    if (response.length > this.#responseBytes) {
      throw new RangeError(
        `a response of ${response.length} bytes; at most ${this.#responseBytes}`,
      );
    }
    if (this.pending === 0) throw new RangeError("a response to no request");
    this.#memory.write(this.#entry(this.#put), response);
    this.#put = (this.#put + 1) >>> 0;
  }

  /** Shows the guest all responses. @returns whether it wants to be notified */
  push(): boolean {
    const before = this.#shown;
    this.#shown = this.#put;
    this.#memory.write32(this.#at + BackRing.#places.rspProd, this.#put);
    const event = this.#memory.read32(this.#at + BackRing.#places.rspEvent);
    return ((this.#put - event) >>> 0) < ((this.#put - before) >>> 0);
  }

  /**
   * Whether there are more requests; if not, the guest is asked for an event with the next one. To be
   * called before events are waited for.
   */
  hasMore(): boolean {
    if (this.#waits()) return true;
    this.#memory.write32(this.#at + BackRing.#places.reqEvent, (this.#taken + 1) >>> 0);
    return this.#waits();
  }

  #waits(): boolean {
    return this.#memory.read32(this.#at + BackRing.#places.reqProd) !== this.#taken &&
      this.pending < this.size;
  }

  #entry(index: number): number {
    return this.#at + BackRing.#places.entries + (index & (this.size - 1)) * this.#entryBytes;
  }
}
