/** Commands as data: for help, completions, manual pages and tests. Only types. */
import type { Argument, Option } from "./option.ts";

/** A line that can be typed, and what it does. */
export type Example = readonly [line: string, does: string];

/** A command. */
export interface CommandData {
  /** With the names of the commands that it is one of: `xdevd store read`. */
  readonly name: string;
  /** What may follow the name. */
  readonly usage: string;
  readonly description: string;
  /** What comes behind it all in the help. */
  readonly more: string;
  readonly args: readonly Argument[];
  /** Those that the help shows. */
  readonly options: readonly Option[];
  readonly examples: readonly Example[];
  /** Those that the help shows, by the headings that they are below. */
  readonly groups: readonly (readonly [heading: string, commands: readonly CommandData[]])[];
}
