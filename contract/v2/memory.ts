/** The plugin contract, version 2: memory that is shared with a guest. */

/**
 * Memory of the guest's, which may change it at any instant: what is read once is a copy, and only the
 * copy is checked and used. Numbers are little endian, each read or written in one piece and in this
 * order for the guest too; their offsets are multiples of their size.
 *
 * Every method throws a RangeError for what lies outside, and an Error with code `ENXIO` when the
 * memory is no longer mapped, `EACCES` for writing to what can only be read.
 */
export class GuestMemory {
  /** In bytes. */
  readonly size: number;
  readonly access: "read" | "write";
  readonly #buffer: ArrayBuffer;
  readonly #bytes: Uint8Array;
  readonly #halves: Uint16Array;
  readonly #words: Uint32Array;

  /**
   * @param buffer mapped, whole pages; detached when it is unmapped
   * @param access of the mapping: writing to what can only be read would end the process
   */
  constructor(buffer: ArrayBuffer, access: "read" | "write" = "write") {
    this.size = buffer.byteLength;
    this.access = access;
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#halves = new Uint16Array(buffer);
    this.#words = new Uint32Array(buffer);
  }

  /** Whether it is still mapped. */
  get isMapped(): boolean {
    return this.#buffer.byteLength > 0;
  }

  /** A copy. */
  read(offset: number, length: number): Uint8Array {
    this.#check(offset, length, 1);
    return this.#bytes.slice(offset, offset + length);
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#checkWrite(offset, bytes.length, 1);
    this.#bytes.set(bytes, offset);
  }

  read8(offset: number): number {
    this.#check(offset, 1, 1);
    return Atomics.load(this.#bytes, offset);
  }

  read16(offset: number): number {
    this.#check(offset, 2, 2);
    return Atomics.load(this.#halves, offset / 2);
  }

  read32(offset: number): number {
    this.#check(offset, 4, 4);
    return Atomics.load(this.#words, offset / 4);
  }

  write8(offset: number, value: number): void {
    this.#checkWrite(offset, 1, 1);
    Atomics.store(this.#bytes, offset, value);
  }

  write16(offset: number, value: number): void {
    this.#checkWrite(offset, 2, 2);
    Atomics.store(this.#halves, offset / 2, value);
  }

  write32(offset: number, value: number): void {
    this.#checkWrite(offset, 4, 4);
    Atomics.store(this.#words, offset / 4, value);
  }

  #checkWrite(offset: number, length: number, align: number): void {
    this.#check(offset, length, align);
    if (this.access === "write") return;
    throw Object.assign(new Error("the guest's memory can only be read"), { code: "EACCES" });
  }

  #check(offset: number, length: number, align: number): void {
    if (!this.isMapped) {
      throw Object.assign(new Error("the guest's memory is not mapped any more"), {
        code: "ENXIO",
      });
    }
    const fits = Number.isInteger(offset) && Number.isInteger(length) && offset >= 0 &&
      length >= 0 && length <= this.size - offset && offset % align === 0;
    if (fits) return;
    throw new RangeError(
      `${length} bytes at ${offset}; expected a multiple of ${align} within ${this.size} bytes`,
    );
  }
}
