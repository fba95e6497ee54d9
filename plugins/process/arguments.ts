/** Checking what a process plugin sends as arguments. Pure. */

/** A plugin asked for something in a wrong way; the message says which and what is expected. */
export class RequestError extends Error {
  override name = "RequestError";
}

/** What a field of a map may be; those with `?` may be missing. */
export type FieldType = "text" | "number" | "boolean" | "text?" | "number?" | "boolean?";

/** @throws RequestError */
export function text(value: unknown, what: string): string {
  if (typeof value !== "string") throw new RequestError(`expected ${what}, a text`);
  return value;
}

/** @throws RequestError */
export function number(value: unknown, what: string): number {
  if (typeof value !== "number") throw new RequestError(`expected ${what}, a number`);
  return value;
}

/** @throws RequestError */
export function boolean(value: unknown, what: string): boolean {
  if (typeof value !== "boolean") throw new RequestError(`expected ${what}, true or false`);
  return value;
}

/** @throws RequestError */
export function word<Word extends string>(value: unknown, words: readonly Word[]): Word {
  const found = words.find((one) => one === value);
  if (found === undefined) throw new RequestError(`expected ${words.join(" or ")}`);
  return found;
}

/** @throws RequestError */
export function texts(value: unknown, what: string): Record<string, string> {
  if (!isMap(value) || !Object.values(value).every((one) => typeof one === "string")) {
    throw new RequestError(`expected ${what}, a map of texts`);
  }
  return value as Record<string, string>;
}

/** @throws RequestError */
export function argv(value: unknown): [string, ...string[]] {
  if (!Array.isArray(value) || value.length === 0 || value.some((one) => typeof one !== "string")) {
    throw new RequestError("expected a program and its arguments, an array of texts");
  }
  return value as [string, ...string[]];
}

/** A map of texts, numbers and booleans. @throws RequestError */
export function plain(value: unknown, what: string): Record<string, string | number | boolean> {
  const isPlain = (one: unknown) => ["string", "number", "boolean"].includes(typeof one);
  if (!isMap(value) || !Object.values(value).every(isPlain)) {
    throw new RequestError(`expected ${what}, a map of texts, numbers and booleans`);
  }
  return value as Record<string, string | number | boolean>;
}

/** A map with these fields, and without others. @throws RequestError */
export function fields<T>(value: unknown, what: string, types: Record<keyof T, FieldType>): T {
  const given = plain(value, what);
  const result: Record<string, unknown> = {};
  for (const [name, type] of Object.entries<FieldType>(types)) {
    const field = given[name];
    const [wanted, optional] = [type.replace("?", ""), type.endsWith("?")];
    if (field === undefined && optional) continue;
    const is = typeof field === "string" ? "text" : typeof field;
    if (is !== wanted) throw new RequestError(`expected ${what} with ${name}, a ${wanted}`);
    result[name] = field;
  }
  return result as T;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
