/**
 * JSON as libxl prints it for a device (libxl_json.c, gentypes.py): fields in the order of
 * libxl_types.idl, those at their default left out, four blanks of indentation. Pure.
 */

/** The value of a field; undefined when it is at its default. */
export type JsonValue = string | number | bigint | boolean | undefined;

/** A tri-state boolean: libxl has words for the two states that are not the default. */
export function defbool(value: boolean | undefined): string | undefined {
  return value === undefined ? undefined : value ? "True" : "False";
}

/** A number whose default is 0. */
export function nonZero<T extends number | bigint>(value: T): T | undefined {
  return value ? value : undefined;
}

/**
 * The object, with a line end after it. One without fields has an empty line within, as the library
 * beneath libxl (yajl, in its "beautify" mode) prints it.
 */
export function libxlJson(fields: readonly (readonly [name: string, value: JsonValue])[]): string {
  const lines = fields.flatMap(([name, value]) =>
    value === undefined ? [] : [`    ${JSON.stringify(name)}: ${valueText(value)}`]
  );
  return `{\n${lines.join(",\n")}\n}\n`;
}

/** What `xl -N` prints for a device: its word, the object, and an empty line. */
export function dryRunText(word: string, json: string): string {
  return `${word}: ${json}\n`;
}

function valueText(value: string | number | bigint | boolean): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
