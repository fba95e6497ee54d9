/**
 * Benchmarks, each beside a peer in the same run.
 *
 *   npm run bench                  all
 *   npm run bench -- plugins       one
 *   npm run bench -- plugins --json
 */
import { parseArgs } from "node:util";
import type { Summary } from "./statistics.ts";

/** What a benchmark measured. */
export interface Result {
  /** What, in words. */
  readonly what: string;
  readonly unit: string;
  /** By subject, the one that others are compared with first. */
  readonly subjects: Readonly<Record<string, Summary>>;
}

/** A benchmark. */
export type Benchmark = () => Promise<Result[]>;

const benchmarks: Record<string, () => Promise<Benchmark>> = {
  attach: async () => (await import("./attach.ts")).attach,
  migration: async () => (await import("./migration.ts")).migration,
  memory: async () => (await import("./memory.ts")).memory,
  plugins: async () => (await import("./plugins.ts")).plugins,
  scale: async () => (await import("./scale.ts")).scale,
  startup: async () => (await import("./startup.ts")).startup,
  store: async () => (await import("./store.ts")).store,
};

const { values, positionals } = parseArgs({
  options: { json: { type: "boolean", default: false } },
  allowPositionals: true,
});
const unknown = positionals.find((name) => !(name in benchmarks));
if (unknown !== undefined) {
  console.error(`bench: there is no ${unknown}; there are ${Object.keys(benchmarks).join(", ")}`);
  process.exit(2);
}
const all: Record<string, Result[]> = {};
for (const name of positionals.length > 0 ? positionals : Object.keys(benchmarks)) {
  const results = all[name] = await (await benchmarks[name]!())();
  if (!values.json) print(name, results);
}
if (values.json) console.log(JSON.stringify(all, null, 2));
process.exit(0);

function print(name: string, results: readonly Result[]) {
  console.log(`${name}`);
  for (const { what, unit, subjects } of results) {
    console.log(`  ${what}, in ${unit}`);
    const [first] = Object.values(subjects);
    for (const [subject, { count, median, p99, least }] of Object.entries(subjects)) {
      const figures = `median ${median.toFixed(2)}, p99 ${p99.toFixed(2)}, least ${
        least.toFixed(2)
      }`;
      const times = (median / first!.median).toFixed(2);
      console.log(`    ${subject.padEnd(28)}${figures} (${count} runs; ${times} times)`);
    }
  }
}
