/** JSON Schema, as far as docs/schemas goes: another keyword than these is a fault of the schema. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";

const DIRECTORY = join(import.meta.dir, "../../docs/schemas");

type Schema = Readonly<Record<string, unknown>>;

const KEYWORDS = new Set([
  ...["$schema", "$id", "$defs", "title", "description", "$ref", "anyOf", "allOf", "type", "enum"],
  ...["const", "properties", "required", "items", "pattern", "minimum", "maximum", "format"],
]);

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/;

/** What is wrong with a value, a line each: also properties that no schema tells of. */
export function faultsOf(value: unknown, name: string): string[] {
  const known = new Set<string>();
  const faults = check(value, load(name), { file: name, at: "", known });
  return [...faults, ...unknownProperties(value, "", known)];
}

/** A schema of docs/schemas. */
export function load(name: string): Schema {
  return JSON.parse(readFileSync(join(DIRECTORY, `${basename(name, ".json")}.json`), "utf8"));
}

interface Place {
  readonly file: string;
  readonly at: string;
  /** Places that a schema tells of. */
  readonly known: Set<string>;
}

function check(value: unknown, schema: Schema, place: Place): string[] {
  const { at, known } = place;
  for (const keyword of Object.keys(schema)) {
    if (!KEYWORDS.has(keyword)) throw new Error(`${place.file}: unknown keyword ${keyword}`);
  }
  const faults: string[] = [];
  const fault = (expected: string) =>
    faults.push(`${at || "/"}: expected ${expected}, got ${JSON.stringify(value)?.slice(0, 200)}`);
  if (schema["$ref"] !== undefined) {
    const [file, pointer = ""] = (schema["$ref"] as string).split("#");
    const named = file || place.file;
    const target = pointer.split("/").filter((name) => name !== "")
      .reduce<Schema>((part, name) => part[name] as Schema, load(named));
    faults.push(...check(value, target, { ...place, file: named }));
  }
  if (schema["type"] !== undefined) {
    const types = [schema["type"]].flat() as string[];
    if (!types.some((type) => isOf(value, type))) fault(`type ${types.join(" or ")}`);
  }
  if (schema["enum"] !== undefined && !(schema["enum"] as unknown[]).includes(value)) {
    fault(`one of ${schema["enum"]}`);
  }
  if (schema["const"] !== undefined && schema["const"] !== value) fault(`${schema["const"]}`);
  if (typeof value === "string") {
    const { pattern, format } = schema as { pattern?: string; format?: string };
    if (pattern !== undefined && !new RegExp(pattern, "u").test(value)) fault(pattern);
    if (format !== undefined && format !== "date-time") throw new Error(`format ${format}`);
    if (format !== undefined && !RFC3339.test(value)) fault("a time of RFC 3339 in UTC");
  }
  if (typeof value === "number") {
    if (value < (schema["minimum"] as number ?? -Infinity)) fault(`>= ${schema["minimum"]}`);
    if (value > (schema["maximum"] as number ?? Infinity)) fault(`<= ${schema["maximum"]}`);
  }
  const { properties, required, items } = schema as {
    properties?: Record<string, Schema>;
    required?: string[];
    items?: Schema;
  };
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    for (const name of required ?? []) if (!Object.hasOwn(value, name)) fault(`property ${name}`);
    // An object of which no properties are told may have any.
    if (schema["type"] === "object" && properties === undefined) known.add(`${at}/*`);
    for (const [name, part] of Object.entries(properties ?? {})) {
      known.add(`${at}/${name}`);
      if (!Object.hasOwn(value, name)) continue;
      faults.push(
        ...check((value as Schema)[name], part, { ...place, at: `${at}/${name}` }),
      );
    }
  }
  if (Array.isArray(value) && items !== undefined) {
    value.forEach((one, index) =>
      faults.push(...check(one, items, { ...place, at: `${at}/${index}` }))
    );
  }
  for (const part of schema["allOf"] as Schema[] ?? []) faults.push(...check(value, part, place));
  if (schema["anyOf"] !== undefined) {
    const tried = (schema["anyOf"] as Schema[]).map((part) => {
      const own = new Set<string>();
      return { own, faults: check(value, part, { ...place, known: own }) };
    });
    const fitting = tried.filter((one) => one.faults.length === 0);
    for (const { own } of fitting) for (const path of own) known.add(path);
    if (fitting.length === 0) faults.push(...tried.flatMap((one) => one.faults));
  }
  return faults;
}

function isOf(value: unknown, type: string): boolean {
  switch (type) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "integer":
      return Number.isSafeInteger(value);
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    case "string":
      return typeof value === "string";
    case "number":
      return Number.isFinite(value);
    case "boolean":
      return typeof value === "boolean";
  }
  throw new Error(`there is no type ${type}`);
}

function unknownProperties(value: unknown, at: string, known: ReadonlySet<string>): string[] {
  if (typeof value !== "object" || value === null || known.has(`${at}/*`)) return [];
  return Object.entries(value).flatMap(([name, part]) => {
    const path = `${at}/${name}`;
    if (!Array.isArray(value) && !known.has(path)) return [`${path}: no schema tells of it`];
    return unknownProperties(part, path, known);
  });
}
