/** Where a tool's words go. */
import { fromBytes } from "./values.ts";

/** A tool's streams. Texts have a character a byte. */
export interface Streams {
  out(text: string): void;
  error(text: string): void;
}

/** Text that a program made, as a text of a character a byte. */
export function encoded(text: string): string {
  return fromBytes(new TextEncoder().encode(text));
}
