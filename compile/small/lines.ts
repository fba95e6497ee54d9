/** Where each line of a bundle came from, by its source map (tc39.es/ecma426). */
import { dirname, relative, resolve } from "node:path";

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The parts of a source map that are used. */
export interface SourceMap {
  readonly sources: readonly string[];
  readonly mappings: string;
}

/**
 * A text with a line for each line of the bundle: the file, relative to the current directory, and the line
 * there; `- 0` when it came from none.
 * @param file the map's own; its sources are relative to that
 */
export function linesOf({ sources, mappings }: SourceMap, file: string): string {
  const names = sources.map((source) => relative(".", resolve(dirname(file), source)));
  let [source, line] = [0, 0];
  let text = "";
  for (const segments of mappings.split(";")) {
    let first = "- 0";
    for (const segment of segments.split(",")) {
      // Column in the bundle; then source, line and column there, each as a difference to the one before.
      const [, bySource, byLine] = numbersOf(segment);
      if (bySource === undefined || byLine === undefined) continue;
      source += bySource;
      line += byLine;
      if (first === "- 0") first = `${names[source]!.replaceAll(/\s/g, "_")} ${line + 1}`;
    }
    text += `${first}\n`;
  }
  return text;
}

/** Base 64 digits of five bits each, the lowest first; the lowest of all bits is the sign. */
function numbersOf(segment: string): number[] {
  const numbers: number[] = [];
  let [value, shift] = [0, 0];
  for (const digit of segment) {
    const bits = DIGITS.indexOf(digit);
    value |= (bits & 31) << shift;
    shift += 5;
    if ((bits & 32) !== 0) continue;
    numbers.push((value & 1) !== 0 ? -(value >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}
