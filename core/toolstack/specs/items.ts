/** Specifications that are lists of items such as `key=value`. Pure. */
import { hasControlCharacters, placeIn, SpecError, type SpecPlace } from "./spec_error.ts";

/** One item, and where it is. */
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
