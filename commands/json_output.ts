/** What commands print for programs: one JSON value, also of a failure. */
import type { Problem } from "../core/messages/error.ts";
import { printTo } from "../platform/self.ts";

/** A failure, for programs. docs/schemas/error.json is its schema. */
export interface ErrorJson {
  /** See docs/troubleshooting.md. */
  readonly code: string;
  /** The exit status. */
  readonly status: number;
  readonly message: string;
  /** Lines that a person gets below the message; only where there are any. */
  readonly details?: readonly string[];
}

/** Whether a command line asks for JSON, be it right or wrong. */
export function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? undefined : end).includes("--json");
}

/** A problem as a property `error`. */
export function errorJson({ code, status, message, details }: Problem): ErrorJson {
  return { code, status, message, ...(details.length > 0 ? { details } : {}) };
}

/** Prints one of several results, in a line. */
export function printJsonLine(value: unknown): void {
  printTo(1, `${jsonText(value)}\n`);
}

/** Prints a result. */
export function printJson(value: unknown): void {
  printTo(1, `${jsonText(value, 2)}\n`);
}

/** Fractions have three digits; what could move a terminal's cursor is escaped. */
function jsonText(value: unknown, indent = 0): string {
  const rounded = (_: string, part: unknown) =>
    typeof part === "number" && !Number.isInteger(part) ? Math.round(part * 1000) / 1000 : part;
  return JSON.stringify(value, rounded, indent)
    .replace(/[\u007f-\u009f\p{Cf}\u2028\u2029]/gu, escaped);
}

/** Of a character: its UTF-16 units, as JSON has them. */
function escaped(character: string): string {
  return [...Array(character.length).keys()]
    .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");
}
