/** Errors of specifications, in tests. */
import { expect } from "bun:test";
import { pointAt, SpecError } from "../../../core/toolstack/specs/spec_error.ts";

/** The error that parsing throws. @throws Error when it throws none, or another one */
export function specErrorOf(parse: () => unknown): SpecError {
  try {
    parse();
  } catch (error) {
    if (error instanceof SpecError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

/** Category, and the piece of the text that is pointed at. */
export function faultOf(parse: () => unknown): [category: string, piece: string] {
  const error = specErrorOf(parse);
  const { text, offset, length } = error.place;
  // One line, that says all there is to say.
  expect(error.message).toContain(error.category);
  expect(error.message).not.toContain("\n");
  expect(pointAt(error.place)).toHaveLength(2);
  return [error.category, text.slice(offset, offset + length)];
}
