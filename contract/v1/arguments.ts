/** What the arguments of capabilities are, and how each is checked. Pure. */
import { own } from "./own.ts";
import type { DeviceModelProgram } from "./device_model.ts";

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

function bytesOf(value: unknown): number {
  return encoder.encode(String(value)).length;
}

function argument<T>(told: string, check: (value: unknown) => T): Argument<T> {
  return { told, takes: 1, read: check, check };
}

/** A text of at most {@link TEXT_MAX} bytes. @param what as in `the node's name` */
export function text(told: string, what = told, max = TEXT_MAX): Argument<string> {
  return argument(told, (value) => {
    if (typeof value !== "string") throw new RequestError(`expected ${what}, a text`);
    if (bytesOf(value) > max) {
      throw new RequestError(`expected ${what}, a text of at most ${max} bytes`);
    }
    return value;
  });
}

/** A text that fits a pattern. @param rule what that means, in words */
export function pattern(told: string, what: string, form: RegExp, rule: string): Argument<string> {
  return argument(told, (value) => {
    if (typeof value === "string" && form.test(value)) return value;
    const is = typeof value === "string" ? ` ${JSON.stringify(value.slice(0, 40))}` : "";
    throw new RequestError(`${what}${is}; expected ${rule}, a text`);
  });
}

/** A number that is finite. */
export function number(told: string, what = told): Argument<number> {
  return argument(told, (value) => {
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw new RequestError(`expected ${what}, a number`);
  });
}

/** A boolean. */
export function boolean(told: string, what = told): Argument<boolean> {
  return argument(told, (value) => {
    if (typeof value === "boolean") return value;
    throw new RequestError(`expected ${what}, true or false`);
  });
}

/** One of several words. */
export function word<Word extends string>(...words: readonly Word[]): Argument<Word> {
  return argument(words.map((one) => `\`${one}\``).join(" or "), (value) => {
    const found = words.find((one) => one === value);
    if (found === undefined) throw new RequestError(`expected ${words.join(" or ")}`);
    return found;
  });
}

/** A map of texts, numbers and booleans. */
export function plain(
  told: string,
  what = told,
): Argument<Record<string, string | number | boolean>> {
  return argument(told, (value) => {
    const isPlain = (one: unknown) => ["string", "number", "boolean"].includes(typeof one);
    return mapOf(value, what, isPlain, "a map of texts, numbers and booleans");
  });
}

/** A map of texts. */
export function texts(told: string, what = told): Argument<Record<string, string>> {
  return argument(
    told,
    (value) => mapOf(value, what, (one) => typeof one === "string", "a map of texts"),
  );
}

function mapOf<T>(
  value: unknown,
  what: string,
  test: (one: unknown) => boolean,
  expected: string,
): Record<string, T> {
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
  const entries = isMap ? Object.entries(value) : [];
  if (!isMap || !entries.every(([, one]) => test(one))) {
    throw new RequestError(`expected ${what}, ${expected}`);
  }
  bound(what, entries.length, entries.flat());
  return value as Record<string, T>;
}

function bound(what: string, count: number, parts: readonly unknown[]): void {
  let bytes = 0;
  for (const part of parts) bytes += bytesOf(part);
  if (count <= ENTRIES_MAX && bytes <= LIST_MAX) return;
  throw new RequestError(`expected ${what} of at most ${ENTRIES_MAX} entries, ${LIST_MAX} bytes`);
}

/** What a field of a map may be; those with `?` may be missing. */
type FieldType = "text" | "number" | "boolean" | "text?" | "number?" | "boolean?";

/** A map with these fields, and without others. */
export function fields<T>(what: string, types: Record<keyof T, FieldType>): Argument<T> {
  const names = Object.entries<FieldType>(types);
  const of = (optional: boolean) =>
    names.filter(([, type]) => type.endsWith("?") === optional).map(([name]) => `\`${name}\``);
  const [must, may] = [of(false).join(", "), of(true).join(", ")];
  const told = `map: ${must}${must && may ? ", and " : ""}${may && `optionally ${may}`}`;
  const check = (value: unknown): T => {
    // Others are not looked at.
    const given = mapOf(must === "" ? value ?? {} : value, what, () => true, "a map");
    const result: Record<string, unknown> = {};
    for (const [name, type] of names) {
      const field = own(given, name);
      const [wanted, optional] = [type.replace("?", ""), type.endsWith("?")];
      if (field === undefined && optional) continue;
      const is = typeof field === "string" ? "text" : typeof field;
      if (is !== wanted) throw new RequestError(`expected ${what} with ${name}, a ${wanted}`);
      result[name] = field;
    }
    return result as T;
  };
  return argument(told, check);
}

/** A program, by its absolute path, and its arguments. */
export const argv: Argument<[string, ...string[]]> = argument(
  "array: program and arguments",
  (value) => {
    const expected = "expected a program and its arguments, an array of texts";
    if (
      !Array.isArray(value) || value.length === 0 || value.some((one) => typeof one !== "string")
    ) throw new RequestError(expected);
    const program = JSON.stringify(value[0].slice(0, 80));
    if (!value[0].startsWith("/")) throw new RequestError(`${program} is not an absolute path`);
    if (value.some((one) => one.includes("\0"))) {
      throw new RequestError(`${program} with a NUL; ${expected} without`);
    }
    bound("a program and its arguments", value.length, value);
    return value as [string, ...string[]];
  },
);

const variables = texts("map: environment", "variables");

/** A program with its environment; programs send these one after the other. */
export const program: Argument<DeviceModelProgram> = {
  told: `${argv.told}, and optionally a ${variables.told}`,
  takes: 2,
  read: (command, environment) => ({
    argv: argv.check(command),
    ...(environment === undefined || environment === null
      ? {}
      : { environment: variablesOf(environment) }),
  }),
  check: (value) => {
    const { argv: command, environment } = (value ?? {}) as Partial<DeviceModelProgram>;
    return program.read(command, environment);
  },
};

function variablesOf(value: unknown): Record<string, string> {
  const map = variables.check(value);
  for (const [name, setting] of Object.entries(map)) {
    if (/^[^=\0]+$/.test(name) && !setting.includes("\0")) continue;
    const shown = JSON.stringify(name.slice(0, 40));
    throw new RequestError(`variable ${shown}; expected a name without =, and no NUL`);
  }
  return map;
}

/** The same, where it may be left out. */
export function optional<T>(given: Argument<T>): Argument<T | undefined> {
  const check = (value: unknown) =>
    value === undefined || value === null ? undefined : given.check(value);
  return argument(`optionally ${given.told}`, check);
}

/** When the call is to end; a program's is the daemon's own. */
export const SIGNAL: Argument<AbortSignal> = {
  told: "",
  takes: 0,
  read: () => {
    throw new RequestError("there is no signal to send");
  },
  check: (value) => {
    if (value instanceof AbortSignal) return value;
    throw new RequestError("expected the call's signal");
  },
};

/** What a module does meanwhile. */
export const WORK: Argument<() => Promise<never>> = argument("work", (value) => {
  if (typeof value === "function") return value as () => Promise<never>;
  throw new RequestError("expected work, a function");
});
