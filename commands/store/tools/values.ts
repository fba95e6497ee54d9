/**
 * Values as the xenstore tools print and take them. Texts here have a character a byte (0 to 255).
 * Pure.
 */
import { own } from "../../../contract/v1/own.ts";

const ESCAPES: Readonly<Record<string, string>> = {
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
  "\\": "\\\\",
};

/** Makes a value printable: what is not printable ASCII becomes an escape sequence. */
export function sanitise(value: string): string {
  return value.replace(/[^ -~]|\\/g, (byte) => {
    const code = byte.charCodeAt(0);
    return own(ESCAPES, byte) ??
      (code < 8
        ? `\\${code.toString(8).padStart(3, "0")}`
        : `\\x${code.toString(16).padStart(2, "0")}`);
  });
}

/** The reverse, with the freedoms that sscanf(3) takes: `\x` may be followed by blanks or a sign. */
export function unsanitise(text: string): string {
  let value = "";
  for (let at = 0; at < text.length;) {
    const char = text[at++]!;
    if (char !== "\\") {
      value += char;
      continue;
    }
    const { byte, next } = escaped(text, at);
    value += byte;
    at = next;
  }
  return value;
}

/** What the escape sequence at `at`, behind its backslash, means; and where it ends. */
function escaped(text: string, at: number): { byte: string; next: number } {
  const char = text[at];
  // A backslash at the end stands for a NUL.
  if (char === undefined) return { byte: "\0", next: at };
  const simple = { t: "\t", n: "\n", r: "\r" }[char];
  if (simple !== undefined) return { byte: simple, next: at + 1 };
  if (/[0-7]/.test(char)) {
    const [digits] = /^[0-7]{1,3}/.exec(text.slice(at))!;
    return { byte: byteOf(parseInt(digits, 8)), next: at + digits.length };
  }
  if (char !== "x") return { byte: char, next: at + 1 };
  // Two characters, of which one may be a sign, or the two of a prefix that nothing follows.
  const [all, number] =
    /^[ \t-\r]*(0[xX]|[-+][0-9a-fA-F]|[0-9a-fA-F]{1,2})/.exec(text.slice(at + 1)) ?? [];
  if (all === undefined || number === undefined) return { byte: "x", next: at + 1 };
  return { byte: byteOf(/x/i.test(number) ? 0 : parseInt(number, 16)), next: at + 1 + all.length };
}

function byteOf(code: number): string {
  return String.fromCharCode(code & 0xff);
}

/** atoi(3): the decimal number at the start of a text, 0 if there is none; it wraps at 32 bits. */
export function atoi(text: string): number {
  const [, digits = "0"] = /^[ \t-\r]*([-+]?\d+)/.exec(text) ?? [];
  const value = BigInt(digits.replace("+", ""));
  const most = 2n ** 63n - 1n;
  const long = value > most ? most : value < -most - 1n ? -most - 1n : value;
  return Number(BigInt.asIntN(32, long));
}

/** A text of a character a byte. */
export function fromBytes(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** The bytes of a text of a character a byte. */
export function toBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** A tool's streams. Texts have a character a byte. */
export interface Streams {
  out(text: string): void;
  error(text: string): void;
}

/** Text that a program made, as a text of a character a byte. */
export function encoded(text: string): string {
  return fromBytes(new TextEncoder().encode(text));
}
