/**
 * Makes a binary that the tests of the program run (tools/test.mjs):
 *
 *   bun compile/tested.ts small FILE        as people get it
 *   bun compile/tested.ts sanitized FILE    the same, with the compiler's sanitizers
 *
 * The status is 3, with one line, when something that it is made with is not to be had.
 */
import { builtIns } from "../built_in.ts";
import { buildSmall } from "./small/link.ts";
import { MissingPart } from "./small/missing.ts";

const [kind, outfile] = process.argv.slice(2);
if ((kind !== "small" && kind !== "sanitized") || outfile === undefined) {
  console.error("compile/tested.ts: expected small or sanitized, and a file");
  process.exit(2);
}
try {
  const plugins = builtIns.map(({ manifest }) => manifest.name);
  await buildSmall({ outfile, plugins, sanitized: kind === "sanitized" });
} catch (error) {
  console.error(`the ${kind} binary for the tests: ${(error as Error).message}`);
  process.exit(error instanceof MissingPart ? 3 : 1);
}
