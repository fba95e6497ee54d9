/** MessagePack (github.com/msgpack/msgpack, spec.md), without its extensions. Pure. */

/** The bytes are none, or ask for more than they may. */
export class MessagePackFault extends Error {
  override name = "MessagePackFault";
}

/** Deepest nesting of maps and arrays that is read or written. */
export const DEPTH_MAX = 16;

const encoder = new TextEncoder();
// A mark at the beginning belongs to the text.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The bytes of a value: null, booleans, numbers, texts, bytes, arrays, and objects by their own keys.
 * Undefined is written as null.
 * @throws TypeError for a value of another type; RangeError when it is nested deeper than {@link DEPTH_MAX}
 */
export function pack(value: unknown): Uint8Array {
  const writer = new Writer();
  writer.write(value, 0);
  return writer.bytes();
}

class Writer {
  #buffer = new Uint8Array(256);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;

  bytes(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  write(value: unknown, depth: number): void {
    switch (typeof value) {
      case "number":
        return this.#number(value);
      case "string":
        return this.#text(value);
      case "boolean":
        return this.#byte(value ? 0xc3 : 0xc2);
      case "undefined":
        return this.#byte(0xc0);
      case "object":
        return value === null ? this.#byte(0xc0) : this.#object(value, depth);
    }
    throw new TypeError(`a ${typeof value} is no value of MessagePack`);
  }

  #object(value: object, depth: number): void {
    if (depth >= DEPTH_MAX) throw new RangeError(`nested deeper than ${DEPTH_MAX}`);
    if (value instanceof Uint8Array) {
      this.#head(value.length, [[0x100, 0xc4], [0x10000, 0xc5], [0, 0xc6]]);
      return this.#put(value);
    }
    if (Array.isArray(value)) {
      if (value.length < 16) this.#byte(0x90 | value.length);
      else this.#head(value.length, [[0x10000, 0xdc], [0, 0xdd]]);
      for (const one of value) this.write(one, depth + 1);
      return;
    }
    const entries = Object.entries(value);
    if (entries.length < 16) this.#byte(0x80 | entries.length);
    else this.#head(entries.length, [[0x10000, 0xde], [0, 0xdf]]);
    for (const [key, one] of entries) {
      this.#text(key);
      this.write(one, depth + 1);
    }
  }

  #text(text: string): void {
    const bytes = encoder.encode(text);
    if (bytes.length < 32) this.#byte(0xa0 | bytes.length);
    else this.#head(bytes.length, [[0x100, 0xd9], [0x10000, 0xda], [0, 0xdb]]);
    this.#put(bytes);
  }

  #number(value: number): void {
    const isWhole = value >= -0x8000_0000 && value < 0x1_0000_0000 && Number.isInteger(value);
    if (!isWhole || Object.is(value, -0)) {
      this.#byte(0xcb);
      this.#room(8);
      this.#view.setFloat64(this.#length, value);
      this.#length += 8;
    } else if (value >= 0) {
      if (value < 0x80) this.#byte(value);
      else this.#head(value, [[0x100, 0xcc], [0x10000, 0xcd], [0, 0xce]]);
    } else if (value >= -32) this.#byte(value & 0xff);
    else if (value >= -0x80) this.#head(value & 0xff, [[0, 0xd0, 1]]);
    else if (value >= -0x8000) this.#head(value & 0xffff, [[0, 0xd1, 2]]);
    else this.#head(value >>> 0, [[0, 0xd2]]);
  }

  /**
   * A type and a number behind it, as wide as the first row that it is below the limit of says: 1, 2 or 4
   * bytes in the order of the rows' limits.
   */
  #head(value: number, rows: readonly (readonly [limit: number, type: number, width?: number])[]) {
    const [limit, type, width] = rows.find(([limit]) => limit === 0 || value < limit)!;
    this.#byte(type);
    this.#integer(value, width ?? (limit === 0x100 ? 1 : limit === 0x10000 ? 2 : 4));
  }

  #integer(value: number, width: number): void {
    this.#room(width);
    if (width === 1) this.#view.setUint8(this.#length, value);
    else if (width === 2) this.#view.setUint16(this.#length, value);
    else this.#view.setUint32(this.#length, value);
    this.#length += width;
  }

  #byte(byte: number): void {
    this.#room(1);
    this.#buffer[this.#length++] = byte;
  }

  #put(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #room(count: number): void {
    if (this.#length + count <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(this.#length + count, 2 * this.#buffer.length));
    larger.set(this.#buffer);
    this.#buffer = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/**
 * The one value that the bytes are. A map becomes an object, its keys texts; a key `__proto__` is left
 * out.
 * @throws MessagePackFault when they are none, when one is nested deeper than {@link DEPTH_MAX}, is of an
 * extension, is an integer that no number is exactly, or claims more than there is: at no cost beyond what
 * the bytes are worth
 * @param most how many values there may be in all, keys among them
 */
export function unpack(bytes: Uint8Array, most = Number.MAX_SAFE_INTEGER): unknown {
  const reader = new Reader(bytes, most);
  const value = reader.read(0);
  if (!reader.isAtEnd) throw new MessagePackFault("there is something behind it");
  return value;
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #left: number;

  constructor(bytes: Uint8Array, most: number) {
    this.#left = most;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  read(depth: number): unknown {
    if (this.#left-- === 0) throw new MessagePackFault("more values than there may be");
    const type = this.#unsigned(1);
    if (type <= 0x7f) return type;
    if (type >= 0xe0) return type - 0x100;
    if (type <= 0x8f) return this.#map(type & 0x0f, depth);
    if (type <= 0x9f) return this.#array(type & 0x0f, depth);
    if (type <= 0xbf) return this.#text(type & 0x1f);
    switch (type) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#take(this.#unsigned(1 << type - 0xc4)).slice();
      case 0xca:
        return this.#view.getFloat32(this.#skip(4));
      case 0xcb:
        return this.#view.getFloat64(this.#skip(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#unsigned(1 << type - 0xcc);
      case 0xcf:
        return safe(this.#view.getBigUint64(this.#skip(8)));
      case 0xd0:
        return this.#view.getInt8(this.#skip(1));
      case 0xd1:
        return this.#view.getInt16(this.#skip(2));
      case 0xd2:
        return this.#view.getInt32(this.#skip(4));
      case 0xd3:
        return safe(this.#view.getBigInt64(this.#skip(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#unsigned(1 << type - 0xd9));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#unsigned(2 << type - 0xdc), depth);
      case 0xde:
      case 0xdf:
        return this.#map(this.#unsigned(2 << type - 0xde), depth);
    }
    throw new MessagePackFault(`type ${type.toString(16)} (extensions are not accepted)`);
  }

  #array(count: number, depth: number): unknown[] {
    this.#check(count, depth);
    const array: unknown[] = [];
    for (let index = 0; index < count; index++) array.push(this.read(depth + 1));
    return array;
  }

  #map(count: number, depth: number): Record<string, unknown> {
    this.#check(2 * count, depth);
    const map: Record<string, unknown> = {};
    for (let index = 0; index < count; index++) {
      const key = this.read(depth + 1);
      if (typeof key === "object") throw new MessagePackFault("a key that is no text");
      const value = this.read(depth + 1);
      if (String(key) !== "__proto__") map[String(key)] = value;
    }
    return map;
  }

  /** Each of so many values takes a byte at least. */
  #check(count: number, depth: number): void {
    if (count > this.#bytes.length - this.#at) throw new MessagePackFault("it ends too early");
    if (depth >= DEPTH_MAX) throw new MessagePackFault(`nested deeper than ${DEPTH_MAX}`);
  }

  #text(length: number): string {
    return decoder.decode(this.#take(length));
  }

  #unsigned(width: number): number {
    const at = this.#skip(width);
    if (width === 1) return this.#view.getUint8(at);
    return width === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #take(length: number): Uint8Array {
    const at = this.#skip(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** @returns where they begin */
  #skip(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) throw new MessagePackFault("it ends too early");
    this.#at += count;
    return at;
  }
}

function safe(integer: bigint): number {
  const number = Number(integer);
  if (!Number.isSafeInteger(number)) throw new MessagePackFault(`the integer ${integer}`);
  return number;
}
