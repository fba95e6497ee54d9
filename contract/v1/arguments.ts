/** What the arguments of capabilities are, and how each is checked. Pure. */
import type { DeviceModelProgram } from "./device_model.ts";
import { own } from "./own.ts";

/** A plugin asked for something in a wrong way; the message says what is expected. */
export class RequestError extends Error {
  override name = "RequestError";
  /** As the operating system would say it. */
  readonly code = "EINVAL";
}

/** An argument of a capability. */
export interface Argument<T> {
  /** For the reference; empty for one that programs do not send. */
  readonly told: string;
  /** How many values of a program's list it is made of. */
  readonly takes: number;
  /** Makes it of those. @throws RequestError */
  read(...values: unknown[]): T;
  /** What a module has given. @throws RequestError */
  check(value: unknown): T;
}

/** Longest text, in bytes (linux/limits.h: the longest path has 4 KiB). */
export const TEXT_MAX = 64 * 1024;
/** Most entries of a map or list: domains have some hundred nodes by the store's quotas. */
export const ENTRIES_MAX = 1024;
/** Most that a map or list may come to, in bytes: all of it (ARG_MAX is 128 KiB at least). */
export const LIST_MAX = 128 * 1024;

const encoder = new TextEncoder();
const sizeOf = (value: unknown) => encoder.encode(String(value)).length;

/** @param what as in `expected the node's name, a text`; `type` is the second half */
function simple<T>(
  told: string,
  what: string,
  type: string,
  test: (value: unknown) => boolean,
): Argument<T> {
  const check = (value: unknown): T => {
    if (test(value)) return value as T;
    throw new RequestError(`expected ${what}, ${type}; this is ${shown(value)}`);
  };
  return { told, takes: 1, read: check, check };
}

/** A value for people, bounded. */
function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 60));
  if (Array.isArray(value)) {
    return typeof value[0] === "string" ? `[${shown(value[0])}, …]` : "an array";
  }
  return typeof value === "object" && value !== null ? "a map" : String(value);
}

/** A text. @param max in bytes */
export function text(told: string, what = told, max = TEXT_MAX): Argument<string> {
  const fits = (value: unknown) => typeof value === "string" && sizeOf(value) <= max;
  return simple(told, what, `a text of at most ${max} bytes`, fits);
}

/** A text that fits a pattern. @param rule what that means, in words */
export function pattern(told: string, what: string, form: RegExp, rule: string): Argument<string> {
  return simple(told, what, rule, (value) => typeof value === "string" && form.test(value));
}

/** A number that is finite. */
export function number(told: string, what = told): Argument<number> {
  return simple(told, what, "a number", Number.isFinite);
}

/** A boolean. */
export function boolean(told: string, what = told): Argument<boolean> {
  return simple(told, what, "true or false", (value) => typeof value === "boolean");
}

/** One of several words. */
export function word<Word extends string>(...words: readonly Word[]): Argument<Word> {
  const told = words.map((one) => `\`${one}\``).join(" or ");
  return simple(told, words.join(" or "), "a text", (value) => words.includes(value as Word));
}

/** A map of texts, numbers and booleans. */
export function plain(
  told: string,
  what = told,
): Argument<Record<string, string | number | boolean>> {
  const types = ["string", "number", "boolean"];
  const test = (value: unknown) => isMap(value, (one) => types.includes(typeof one));
  return simple(told, what, `a map of texts, numbers and booleans, ${BOUNDS}`, test);
}

/** A map of texts. */
export function texts(told: string, what = told): Argument<Record<string, string>> {
  const test = (value: unknown) => isMap(value, (one) => typeof one === "string");
  return simple(told, what, `a map of texts, ${BOUNDS}`, test);
}

/** A list of texts. */
export function list(told: string, what = told): Argument<readonly string[]> {
  const test = (value: unknown) =>
    Array.isArray(value) && value.every((one) => typeof one === "string") &&
    isBounded(value.length, value);
  return simple(told, what, `an array of texts, ${BOUNDS}`, test);
}

const BOUNDS = `of at most ${ENTRIES_MAX} entries, ${LIST_MAX} bytes`;

function isMap(value: unknown, test: (one: unknown) => boolean): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  return entries.every(([, one]) => test(one)) && isBounded(entries.length, entries.flat());
}

function isBounded(count: number, parts: readonly unknown[]): boolean {
  return count <= ENTRIES_MAX &&
    parts.reduce<number>((sum, one) => sum + sizeOf(one), 0) <= LIST_MAX;
}

/** What a field of a map may be; those with `?` may be missing. */
type FieldType = "text" | "number" | "boolean" | "text?" | "number?" | "boolean?";

/** A map with these fields; others are not looked at. */
export function fields<T>(what: string, types: Record<keyof T, FieldType>): Argument<T> {
  const all = Object.entries<FieldType>(types);
  const named = (optional: boolean) =>
    all.filter(([, type]) => type.endsWith("?") === optional).map(([name]) => `\`${name}\``)
      .join(", ");
  const [must, may] = [named(false), named(true)];
  const told = `map: ${must}${must && may ? ", and " : ""}${may && `optionally ${may}`}`;
  const check = (value: unknown): T => {
    const given = must === "" ? value ?? {} : value;
    if (!isMap(given, () => true)) {
      throw new RequestError(`expected ${what}, a map ${BOUNDS}; this is ${shown(given)}`);
    }
    const read = all.flatMap(([name, type]) => {
      const field = own(given, name);
      if (field === undefined && type.endsWith("?")) return [];
      const is = typeof field === "string" ? "text" : typeof field;
      const wanted = type.replace("?", "");
      if (is === wanted) return [[name, field]];
      throw new RequestError(`expected ${what} with ${name}, a ${wanted}`);
    });
    return Object.fromEntries(read) as T;
  };
  return { told, takes: 1, read: check, check };
}

/** A program, by its absolute path, and its arguments. */
export const argv: Argument<[string, ...string[]]> = simple(
  "array: program and arguments",
  "a program and its arguments",
  `an array of texts without NUL, the first an absolute path, ${BOUNDS}`,
  (value) =>
    Array.isArray(value) && value.every((one) => typeof one === "string" && !one.includes("\0")) &&
    value[0]?.startsWith("/") === true && isBounded(value.length, value),
);

const variables = texts("map: environment", "variables");

/** A program with its environment; programs send these one after the other. */
export const program: Argument<DeviceModelProgram> = {
  told: `${argv.told}, and optionally a ${variables.told}`,
  takes: 2,
  read(command, given) {
    const environment = optional(variables).check(given);
    for (const [name, value] of Object.entries(environment ?? {})) {
      if (/^[^=\0]+$/.test(name) && !value.includes("\0")) continue;
      throw new RequestError(`variable ${shown(name)}; expected a name without =, and no NUL`);
    }
    return { argv: argv.check(command), ...(environment === undefined ? {} : { environment }) };
  },
  check(value) {
    const { argv: command, environment } = (value ?? {}) as Partial<DeviceModelProgram>;
    return program.read(command, environment);
  },
};

/** The same, where it may be left out. */
export function optional<T>(given: Argument<T>): Argument<T | undefined> {
  const check = (value: unknown) =>
    value === undefined || value === null ? undefined : given.check(value);
  return { told: `optionally ${given.told}`, takes: 1, read: check, check };
}

/** When the call is to end; a program's is the daemon's own. */
export const SIGNAL: Argument<AbortSignal> = {
  ...simple("", "the call's", "a signal", (value) => value instanceof AbortSignal),
  takes: 0,
};

/** What a module does meanwhile. */
export const WORK: Argument<() => Promise<never>> = simple(
  "work",
  "work",
  "a function",
  (value) => typeof value === "function",
);
