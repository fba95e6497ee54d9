/** Compresses parts of the small binary, as the LZ4 block format has it (lz4_Block_format.md): `unpack.h` is the reverse. */

/** The shortest piece that is referred to, and how far back it may be, in bytes. */
const LEAST = 4;
const FAR = 0xffff;
/** How many earlier places with the same four bytes are tried. */
const TRIES = 256;
/** The format wants the last bytes as they are. */
const TAIL = 5;
const LAST_START = 12;

/** What {@link unpack} and the C function of the same name make the same bytes of again. */
export function pack(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  const finder = new Finder(bytes);
  let literals = 0;
  let at = 0;
  while (at + LAST_START < bytes.length) {
    let best = finder.longest(at);
    // One byte later there may be a longer one.
    while (best.length >= LEAST && at + 1 + LAST_START < bytes.length) {
      const next = finder.longest(at + 1);
      if (next.length <= best.length + 1) break;
      best = next;
      at++;
    }
    if (best.length < LEAST) {
      at++;
      continue;
    }
    put(out, bytes.subarray(literals, at), best);
    at += best.length;
    literals = at;
  }
  put(out, bytes.subarray(literals), null);
  return Uint8Array.from(out);
}

interface Match {
  readonly length: number;
  readonly back: number;
}

/** Earlier places that go on alike. */
class Finder {
  readonly #bytes: Uint8Array;
  readonly #last = new Map<number, number>();
  readonly #before: Int32Array;
  #known = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#before = new Int32Array(bytes.length).fill(-1);
  }

  longest(at: number): Match {
    for (; this.#known < at; this.#known++) this.#learn(this.#known);
    const bytes = this.#bytes;
    const most = bytes.length - TAIL - at;
    let found = { length: 0, back: 0 };
    let from = this.#last.get(this.#key(at)) ?? -1;
    for (let tries = 0; from >= 0 && at - from <= FAR && tries < TRIES; tries++) {
      let length = 0;
      while (length < most && bytes[from + length] === bytes[at + length]) length++;
      if (length > found.length) found = { length, back: at - from };
      from = this.#before[from]!;
    }
    return found;
  }

  #learn(at: number): void {
    const key = this.#key(at);
    this.#before[at] = this.#last.get(key) ?? -1;
    this.#last.set(key, at);
  }

  #key(at: number): number {
    const bytes = this.#bytes;
    return bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
  }
}

/** A sequence: bytes as they are, and then those that a match repeats; the last one has none. */
function put(out: number[], literals: Uint8Array, match: Match | null): void {
  const repeated = match === null ? 0 : match.length - LEAST;
  out.push(Math.min(15, literals.length) << 4 | Math.min(15, repeated));
  putMore(out, literals.length);
  for (const byte of literals) out.push(byte);
  if (match === null) return;
  out.push(match.back & 0xff, match.back >> 8);
  putMore(out, repeated);
}

/** What does not fit in four bits. */
function putMore(out: number[], count: number): void {
  if (count < 15) return;
  let left = count - 15;
  for (; left >= 255; left -= 255) out.push(255);
  out.push(left);
}
