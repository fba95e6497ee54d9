/**
 * Texts about devices in one piece of memory, the newest of which are kept: thousands of small things
 * scattered over the heap would keep many times their size from being given back.
 */

/** Bytes before each text: its length, and its device's. */
const HEAD = 6;

/** How much is taken at first, in bytes; it doubles. */
const FIRST_BYTES = 16 * 1024;

/** What is left when there was no room, of all: the next time is not at once. */
const LEFT = 3 / 4;

/** The texts. */
export class FlightLog {
  readonly #bytesMax: number;
  readonly #ofDevice: number;
  #bytes = new Uint8Array(0);
  #used = 0;

  /**
   * @param bytesMax how much memory is taken at most
   * @param ofDevice how many of one device are kept when there is no room for all
   */
  constructor(bytesMax: number, ofDevice: number) {
    this.#bytesMax = bytesMax;
    this.#ofDevice = ofDevice;
  }

  /** What is taken, in bytes. */
  get bytes(): number {
    return this.#bytes.length;
  }

  /** One that is too long for all of it is left out. */
  add(device: string, text: string): void {
    const encoder = new TextEncoder();
    const [name, content] = [encoder.encode(device), encoder.encode(text)];
    const length = HEAD + name.length + content.length;
    if (length > this.#bytesMax * LEFT) return;
    if (this.#used + length > this.#bytes.length) this.#makeRoom(length);
    const at = this.#used;
    const view = this.#view();
    view.setUint32(at, length);
    view.setUint16(at + 4, name.length);
    this.#bytes.set(name, at + HEAD);
    this.#bytes.set(content, at + HEAD + name.length);
    this.#used += length;
  }

  /** The last texts of a device, the oldest first. */
  of(device: string): string[] {
    const decoder = new TextDecoder();
    const found = this.#records().filter(({ from, name }) =>
      decoder.decode(this.#bytes.subarray(from + HEAD, name)) === device
    );
    return found.slice(-this.#ofDevice).map(({ name, to }) =>
      decoder.decode(this.#bytes.subarray(name, to))
    );
  }

  #view(): DataView {
    return new DataView(this.#bytes.buffer);
  }

  /** Where each is: from its head, the end of its device's name, and its own. */
  #records(): { readonly from: number; readonly name: number; readonly to: number }[] {
    const view = this.#view();
    const records = [];
    for (let from = 0; from < this.#used;) {
      const to = from + view.getUint32(from);
      records.push({ from, name: from + HEAD + view.getUint16(from + 4), to });
      from = to;
    }
    return records;
  }

  /** For so many bytes more. */
  #makeRoom(more: number): void {
    const wanted = this.#used + more;
    if (wanted <= this.#bytesMax) {
      let size = Math.max(FIRST_BYTES, this.#bytes.length);
      while (size < wanted) size *= 2;
      const grown = new Uint8Array(Math.min(size, this.#bytesMax));
      grown.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = grown;
    } else this.#forget(this.#bytesMax * LEFT - more);
  }

  /** Keeps the newest, in so many bytes; of no device more than may be. */
  #forget(bytes: number): void {
    const decoder = new TextDecoder();
    const counts = new Map<string, number>();
    let left = bytes;
    const kept = this.#records().reverse().filter(({ from, name, to }) => {
      const device = decoder.decode(this.#bytes.subarray(from + HEAD, name));
      const count = (counts.get(device) ?? 0) + 1;
      counts.set(device, count);
      if (count > this.#ofDevice || to - from > left) return false;
      left -= to - from;
      return true;
    });
    this.#used = 0;
    for (const { from, to } of kept.reverse()) {
      this.#bytes.copyWithin(this.#used, from, to);
      this.#used += to - from;
    }
  }
}
