/**
 * Makes `dist/xdevd`: one file with the runtime and everything else in it.
 *
 * `bun compile/compile.ts [--outfile FILE]`
 */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { outfile: { type: "string", default: "dist/xdevd" } },
});

mkdirSync(dirname(values.outfile), { recursive: true });
const result = await Bun.build({
  entrypoints: ["main.ts"],
  target: "bun",
  minify: { whitespace: true, syntax: true, identifiers: false },
  // What a command imports when it runs stays out of memory until then.
  splitting: true,
  compile: { outfile: values.outfile },
});
for (const message of result.logs) console.error(message);
if (!result.success) process.exit(1);
console.log(`${values.outfile}: ${(statSync(values.outfile).size / 1e6).toFixed(1)} MB`);
