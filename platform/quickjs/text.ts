/** TextEncoder and TextDecoder as the Encoding standard has them, for UTF-8 and Latin-1. */
import { host } from "./host.ts";

const REPLACEMENT = "\ufffd";

/** See encoding.spec.whatwg.org; UTF-8, as all encoders. */
export class TextEncoder {
  readonly encoding = "utf-8";

  encode(text = ""): Uint8Array<ArrayBuffer> {
    return new Uint8Array(host.utf8(String(text).toWellFormed()));
  }

  encodeInto(text: string, to: Uint8Array): { read: number; written: number } {
    let [read, written] = [0, 0];
    for (const character of text) {
      const bytes = this.encode(character);
      if (written + bytes.length > to.length) break;
      to.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
}

/** What a decoder may be told. */
interface DecoderOptions {
  readonly fatal?: boolean;
  readonly ignoreBOM?: boolean;
}

/** See encoding.spec.whatwg.org. Labels of UTF-8 and of Latin-1 are known. */
export class TextDecoder {
  readonly encoding: "utf-8" | "windows-1252";
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  /** The beginning of a character whose end has not come yet. */
  #rest: Uint8Array = new Uint8Array(0);
  /** Whether something of this text was handed out already: a byte order mark can only come first. */
  #begun = false;

  /** @throws RangeError for a label that is not known */
  constructor(label = "utf-8", { fatal = false, ignoreBOM = false }: DecoderOptions = {}) {
    const name = label.trim().toLowerCase();
    if (/^(utf-?8|unicode-1-1-utf-8)$/.test(name)) this.encoding = "utf-8";
    else if (/^(latin1|iso-8859-1|ascii|us-ascii|windows-1252)$/.test(name)) {
      this.encoding = "windows-1252";
    } else throw new RangeError(`no decoder for ${label}`);
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }

  /** @throws TypeError when it is `fatal` and the bytes are no UTF-8 */
  decode(
    input: ArrayBuffer | ArrayBufferView = new Uint8Array(0),
    { stream = false }: { stream?: boolean } = {},
  ): string {
    const given = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    if (this.encoding !== "utf-8") return latin1(given);
    let bytes = joined(this.#rest, given);
    const end = stream ? bytes.length - unfinished(bytes) : bytes.length;
    this.#rest = bytes.slice(end);
    bytes = bytes.subarray(0, end);
    let text = host.text(bytes);
    if (text === null) {
      if (this.fatal) {
        this.#rest = new Uint8Array(0);
        this.#begun = false;
        throw new TypeError("the bytes are no UTF-8");
      }
      text = repaired(bytes);
    }
    const isFirst = !this.#begun;
    if (text !== "") this.#begun = true;
    if (!stream) this.#begun = false;
    return isFirst && !this.ignoreBOM && text.startsWith("\ufeff") ? text.slice(1) : text;
  }
}

function joined(before: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (before.length === 0) return bytes;
  const all = new Uint8Array(before.length + bytes.length);
  all.set(before);
  all.set(bytes, before.length);
  return all;
}

/** Windows-1252 has other characters than Latin-1 in 0x80 to 0x9f. */
const C1 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    text += byte >= 0x80 && byte < 0xa0 ? C1[byte - 0x80] : String.fromCharCode(byte);
  }
  return text;
}

/** What a byte that begins a character of several bytes says: how many follow, and what may come next. */
function lead(byte: number): { more: number; low: number; high: number } | null {
  if (byte >= 0xc2 && byte <= 0xdf) return { more: 1, low: 0x80, high: 0xbf };
  if (byte >= 0xe0 && byte <= 0xef) {
    return { more: 2, low: byte === 0xe0 ? 0xa0 : 0x80, high: byte === 0xed ? 0x9f : 0xbf };
  }
  if (byte >= 0xf0 && byte <= 0xf4) {
    return { more: 3, low: byte === 0xf0 ? 0x90 : 0x80, high: byte === 0xf4 ? 0x8f : 0xbf };
  }
  return null;
}

/** How many bytes at `at` can still be, or are, one character: 1 for what is none. */
function lengthAt(bytes: Uint8Array, at: number): { length: number; whole: boolean } {
  const first = bytes[at]!;
  if (first < 0x80) return { length: 1, whole: true };
  const kind = lead(first);
  if (kind === null) return { length: 1, whole: false };
  let { low, high } = kind;
  let length = 1;
  for (; length <= kind.more; length++) {
    const next = bytes[at + length];
    if (next === undefined || next < low || next > high) return { length, whole: false };
    [low, high] = [0x80, 0xbf];
  }
  return { length, whole: true };
}

/** How many bytes at the end may be the beginning of a character. */
function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const at = bytes.length - back;
    const kind = lead(bytes[at]!);
    if (kind === null) continue;
    const { length, whole } = lengthAt(bytes, at);
    return !whole && length === back ? back : 0;
  }
  return 0;
}

/** Each longest part that is no character becomes one replacement (Unicode standard, table 3-8). */
function repaired(bytes: Uint8Array): string {
  let text = "";
  let start = 0;
  const flush = (end: number) => {
    if (end > start) text += host.text(bytes.subarray(start, end));
  };
  for (let at = 0; at < bytes.length;) {
    const { length, whole } = lengthAt(bytes, at);
    if (!whole) {
      flush(at);
      text += REPLACEMENT;
      start = at + length;
    }
    at += length;
  }
  flush(bytes.length);
  return text;
}
