/** Specifications that are lists of `key=value`, by tables of their keys. Pure. */
import { own } from "../../../contract/v1/own.ts";
import { endOf, hasControlCharacters, placeIn, SpecError, type SpecPlace } from "./spec_error.ts";

/** A value that is not accepted: the kind of error, and what would be accepted. */
export class FieldFault {
  readonly category: string;
  readonly expected: string;

  constructor(category: string, expected: string) {
    this.category = category;
    this.expected = expected;
  }
}

/** A key of a specification. */
export interface Field<Value> {
  /** What is accepted, for people. */
  readonly rule: string;
  readonly required?: boolean;
  read(value: string): Value | FieldFault;
}

/** Keys, by name. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

/** What a table of keys makes of a specification. */
export type FieldValues<Table extends Fields> = {
  -readonly [Key in keyof Table]?: Table[Key] extends Field<infer Value> ? Value : never;
};

/** Values, and the error of something that is wrong with them together. */
interface ReadFields<Table extends Fields> {
  readonly values: FieldValues<Table>;
  /** An error that points at a key's item, or at the end if it was not said. */
  fault(category: string, key: keyof Table & string, expected: string): SpecError;
}

/** A text; free of control characters, as all values are. */
export function textField(rule: string, required = false): Field<string> {
  return { rule, required, read: (value) => value };
}

export function numberField(min: number, max: number, unit = ""): Field<number> {
  const rule = `${min} to ${max}${unit && ` ${unit}`}`;
  return {
    rule,
    read(value) {
      const number = parseCount(value, max);
      if (number !== undefined && number >= min) return number;
      return new FieldFault(/^\d+$/.test(value) ? "out of range" : "not a number", rule);
    },
  };
}

export function switchField(): Field<boolean> {
  const rule = "0 or 1";
  return {
    rule,
    read: (value) =>
      value === "0" || value === "1" ? value === "1" : new FieldFault("not a number", rule),
  };
}

/** One of some words; upper and lower case are the same, as they are to libxl. */
export function wordField<Word extends string>(
  name: string,
  words: readonly Word[],
  required = false,
): Field<Word> {
  const rule = words.join(", ");
  return {
    rule,
    required,
    read: (value) =>
      words.find((word) => word === value.toLowerCase()) ??
        new FieldFault(`unknown value for ${name}`, rule),
  };
}

/**
 * Reads a specification by its table. Of several values for one key the last one holds.
 * @param join what to do with an item before it is cut at its `=`: it may take the next one along
 * @throws SpecError
 */
export function readFields<Table extends Fields>(
  device: string,
  table: Table,
  texts: readonly string[],
  join: (items: SpecItem[]) => SpecItem[] = (items) => items,
): ReadFields<Table> {
  const values: Record<string, unknown> = {};
  const items = new Map<string, SpecItem>();
  for (const item of join(separatedItems(texts))) {
    const [key, value] = keyAndValue(item);
    const field = own(table, key);
    if (field === undefined || value === undefined) {
      throw new SpecError(device, "unknown parameter", item.place, ruleOf(table));
    }
    checkValue(device, item);
    const read = field.read(value);
    if (read instanceof FieldFault) {
      throw new SpecError(device, read.category, item.place, `${key}=… with ${read.expected}`);
    }
    values[key] = read;
    items.set(key, item);
  }
  const fault = (category: string, key: string, expected: string): SpecError =>
    new SpecError(device, category, items.get(key)?.place ?? endOf(texts), expected);
  for (const [key, field] of Object.entries(table)) {
    if (field.required && !items.has(key)) {
      throw fault("missing required field", key, `${key}=… with ${field.rule}`);
    }
  }
  return { values: values as FieldValues<Table>, fault };
}

/** A specification from which the table makes the same values again. */
export function formatFields(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values).flatMap(([key, value]) => {
    if (value === undefined) return [];
    return [`${key}=${typeof value === "boolean" ? Number(value) : value}`];
  }).join(",");
}

function ruleOf(table: Fields): string {
  return Object.keys(table).map((key) => `${key}=`).join(" ");
}

export interface SpecItem {
  readonly text: string;
  readonly place: SpecPlace;
}

/** Each text one item, as on the command line of `network-attach`. */
export function wholeItems(texts: readonly string[]): SpecItem[] {
  return texts.map((text, argument) => ({ text, place: placeIn(text, argument, 0, text.length) }));
}

/** Items separated by commas; blanks before an item, and empty items, are skipped. */
export function separatedItems(texts: readonly string[]): SpecItem[] {
  return texts.flatMap((text, argument) => {
    const items: SpecItem[] = [];
    for (const { 0: piece, index } of text.matchAll(/[^,]+/g)) {
      const blanks = /^[ \t\n]*/.exec(piece)![0].length;
      if (blanks === piece.length) continue;
      const place = placeIn(text, argument, index + blanks, piece.length - blanks);
      items.push({ text: piece.slice(blanks), place });
    }
    return items;
  });
}

/** An item cut at its first `=`; no value if there is none. */
export function keyAndValue({ text }: SpecItem): readonly [key: string, value?: string] {
  const equals = text.indexOf("=");
  return equals < 0 ? [text] : [text.slice(0, equals), text.slice(equals + 1)];
}

/** Refuses a value that would be a nuisance in a node, a script or a log. */
export function checkValue(device: string, { text, place }: SpecItem): void {
  if (hasControlCharacters(text)) {
    const expected = "a value without line ends and other control characters";
    throw new SpecError(device, "Invalid parameter", place, expected);
  }
}

/** Decimal digits as a number 0 … `max`, or undefined. Leading zeros count for nothing. */
export function parseCount(text: string, max: number): number | undefined {
  if (!/^\d{1,15}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}
