/**
 * What is wrong with a device specification, and where: enough for one line that says it all, and
 * for a second and third one that point at it. Pure.
 */
import { INVISIBLE, quoted } from "../../log/quoted.ts";

/** A piece of what was given: one argument of a command line, or a string of a configuration. */
export interface SpecPlace {
  /** The whole text that the piece is in. */
  readonly text: string;
  /** Which of the texts given it is, from 0. */
  readonly argument: number;
  /** Where the piece begins, in UTF-16 units. */
  readonly offset: number;
  /** Its length, in UTF-16 units; 0 for something that is missing. */
  readonly length: number;
}

/** How much of the text is shown to either side of what is pointed at, in characters. */
const AROUND = 60;

/** A device specification is not accepted. The message is one line. */
export class SpecError extends Error {
  override name = "SpecError";
  readonly messageCode = "bad-specification";
  /** What kind of device was to be described, such as `disk`. */
  readonly device: string;
  /** The kind of error, in the words of the stock tools, such as `unknown value for format`. */
  readonly category: string;
  readonly place: SpecPlace;
  /** What would have been accepted; empty if the category says it. */
  readonly expected: string;

  constructor(device: string, category: string, place: SpecPlace, expected: string) {
    const { text, offset, length } = place;
    const piece = length === 0 ? "" : `: ${quoted(text.slice(offset, offset + length))}`;
    const rule = expected === "" ? "" : `; expected ${expected}`;
    super(`${device} specification: ${category}${piece}${rule}`);
    this.device = device;
    this.category = category;
    this.place = place;
    this.expected = expected;
  }

  /** Two lines that point at the place. */
  get details(): readonly string[] {
    return this.place.text === "" ? [] : pointAt(this.place);
  }
}

/**
 * Two lines to be printed below the message: the text, and a mark below the piece that is wrong.
 * Every character takes one column; of a long text the part around the piece is shown.
 */
export function pointAt({ text, offset, length }: SpecPlace): [string, string] {
  const start = Math.max(0, offset - AROUND);
  const end = Math.min(text.length, offset + Math.min(length, AROUND) + AROUND);
  const [before, after] = [start > 0 ? "…" : "", end < text.length ? "…" : ""];
  const shown = text.slice(start, end).replace(INVISIBLE, "?");
  const width = Math.max(1, Math.min(length, end - offset));
  const mark = " ".repeat(before.length + offset - start) + "^" + "~".repeat(width - 1);
  return [before + shown + after, mark];
}

/** A piece of one of several texts. */
export function placeIn(
  text: string,
  argument: number,
  offset: number,
  length: number,
): SpecPlace {
  return { text, argument, offset, length };
}

/** The end of what was given: where something is missing. */
export function endOf(texts: readonly string[]): SpecPlace {
  const text = texts.at(-1) ?? "";
  return placeIn(text, Math.max(0, texts.length - 1), text.length, 0);
}

/** Whether a text has characters that no value may have: they would end up in scripts and logs. */
export function hasControlCharacters(text: string): boolean {
  // deno-lint-ignore no-control-regex
  return /[\x00-\x08\x0a-\x1f\x7f]/.test(text);
}
