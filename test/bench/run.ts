/** `npm run bench`: benchmarks, each beside a peer in the same run. `--help` tells how. */
import { commandLine, refuse } from "../../tools/command_line.ts";
import { measureBeside } from "./compiled.ts";
import { environment } from "./environment.ts";
import { record, redraw } from "./record.ts";
import {
  type Benchmark,
  type Figures,
  figuresOf,
  type Recorded,
  shown,
  shownRatio,
} from "./result.ts";

const benchmarks: Record<string, () => Promise<Benchmark>> = {
  attach: async () => (await import("./attach.ts")).attach,
  event: async () => (await import("./event.ts")).event,
  migration: async () => (await import("./migration.ts")).migration,
  memory: async () => (await import("./memory.ts")).memory,
  plugins: async () => (await import("./plugins.ts")).plugins,
  scale: async () => (await import("./scale.ts")).scale,
  server: async () => (await import("./server.ts")).server,
  startup: async () => (await import("./startup.ts")).startup,
  store: async () => (await import("./store.ts")).store,
};
const names = Object.keys(benchmarks).join(", ");

const help = `npm run bench -- [NAME …] [--json] [--no-files | --beside NAME=FILE …] | --redraw

Runs benchmarks (${names}; default: all)
and prints their figures. Of each that succeeds it writes docs/bench/NAME.json, the figures, and
NAME.svg, a plot of them, and brings docs/bench/README.md up to date; of one that fails it writes
nothing. The status is 1 if one failed, 2 for a wrong command line.

  --json      print the figures as the files have them, by benchmark
  --no-files  write nothing
  --beside NAME=FILE  measure that binary, too, in turns with those of these sources, as one of another
              commit (attach, event, startup, memory); writes nothing
  --redraw    run nothing; draw the plots and the index again from the figures
  --help      this
`;

const { values, positionals } = commandLine("bench", help, {
  options: {
    json: { type: "boolean", default: false },
    "no-files": { type: "boolean", default: false },
    beside: { type: "string", multiple: true, default: [] },
    redraw: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const unknown = positionals.find((name) => !Object.hasOwn(benchmarks, name));
if (unknown !== undefined) refuse("bench", `there is no ${unknown}; there are ${names}`);
try {
  for (const text of values.beside) measureBeside(text);
} catch (error) {
  refuse("bench", (error as Error).message);
}
if (values.redraw) {
  redraw();
  process.exit(0);
}

const all: Record<string, Recorded> = {};
let failed = false;
for (const name of positionals.length > 0 ? positionals : Object.keys(benchmarks)) {
  const around = environment();
  try {
    const results = await (await benchmarks[name]!())();
    const run = { name, environment: around, figures: results.map(figuresOf) };
    if (!values["no-files"] && values.beside.length === 0) record(run);
    if (!values.json) print(name, run.figures);
    all[name] = run;
  } catch (error) {
    failed = true;
    console.error(`bench ${name}: ${(error as Error).message}`);
  }
}
if (values.json) console.log(JSON.stringify(all, null, 2));
process.exit(failed ? 1 : 0);

function print(name: string, figures: readonly Figures[]) {
  console.log(`${name}`);
  for (const { what, unit, subjects } of figures) {
    console.log(`  ${what}, in ${unit}`);
    for (const { name, count, median, p99, least, ratio } of subjects) {
      const values = `median ${shown(median)}, p99 ${shown(p99)}, least ${shown(least)}`;
      const times = ratio === null ? "" : `; ${shownRatio(ratio)}`;
      console.log(`    ${name.padEnd(28)}${values} (${count} runs${times})`);
    }
  }
}
