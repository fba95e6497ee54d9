/** Specifications that are lists of `key=value`, by tables of their keys. Pure. */
import { own } from "../../../contract/v1/own.ts";
import { checkValue, keyAndValue, separatedItems, type SpecItem } from "./items.ts";
import { parseCount } from "./numbers.ts";
import { endOf, SpecError } from "./spec_error.ts";

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
export interface ReadFields<Table extends Fields> {
  readonly values: FieldValues<Table>;
  /** An error that points at a key's item, or at the end if it was not said. */
  fault(category: string, key: keyof Table & string, expected: string): SpecError;
}

/** A text; free of control characters, as all values are. */
export function textField(rule: string, required = false): Field<string> {
  return { rule, required, read: (value) => value };
}

/** A decimal number. */
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

/** 0 or 1. */
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

/** The keys of a table, one a line, for people. */
export function describeFields(table: Fields): string[] {
  return Object.entries(table).map(([key, { rule, required }]) =>
    `${key}=… ${rule}${required ? " (required)" : ""}`
  );
}

function ruleOf(table: Fields): string {
  return Object.keys(table).map((key) => `${key}=`).join(" ");
}
