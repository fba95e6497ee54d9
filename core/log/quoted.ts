/** Texts from elsewhere in messages for people: in quotes, bounded, and nothing in them that cannot be seen. */

/** Longest piece shown in a message, in characters. */
const SHOWN_MAX = 80;

/** Control characters, and those that change the direction of writing: never shown as they are. */
// deno-lint-ignore no-control-regex
export const INVISIBLE = /[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** A text in quotes, safe for terminals and logs, cut when it is long. */
export function quoted(text: string): string {
  return visible(JSON.stringify(text.length > SHOWN_MAX ? text.slice(0, SHOWN_MAX) + "…" : text));
}

/** A text in which characters that cannot be seen are written as numbers. */
export function visible(text: string): string {
  return text.replace(
    INVISIBLE,
    (character) => "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0"),
  );
}

/** The value of a node, or that there is none, likewise. */
export function quotedValue(value: string | undefined): string {
  return value === undefined ? "missing" : quoted(value);
}
