/** `docs/bench/README.md`: all benchmarks' figures, in words and as plots. Pure. */
import { type Figures, machine, type Recorded, shown, shownRatio } from "./result.ts";

/** @param runs the last one of each benchmark, in any order */
export function benchDocument(runs: readonly Recorded[]): string {
  const sorted = [...runs].sort((a, b) => a.name < b.name ? -1 : 1);
  return [
    "# Benchmarks",
    "",
    "Made by `npm run bench`; each is made anew with `npm run bench -- NAME`, which takes what it " +
    "compares in turns, in one run, on one machine. The figures are those of that machine: compare " +
    "within a table, not between two. `p99` is the 99th percentile, or the greatest of fewer than " +
    "100 values; `×` is how many times as much as the first subject it is, round by round: the " +
    "median, and in brackets the middle half of the rounds. The files `*.json` have the same figures.",
    "",
    ...sorted.flatMap(section),
  ].join("\n");
}

function section({ name, environment, figures }: Recorded): string[] {
  const versions = Object.entries(environment.versions).map((pair) => pair.join(" ")).join(", ");
  return [
    `## ${name}`,
    "",
    `${cell(machine(environment))}. With ${cell(versions)}.`,
    "",
    `![Plot of the tables below](${name}.svg)`,
    "",
    ...figures.flatMap(table),
  ];
}

function table({ what, unit, subjects }: Figures): string[] {
  return [
    `| ${cell(what)} | median, ${cell(unit)} | p99 | least | × | runs |`,
    "| --- | ---: | ---: | ---: | :--- | ---: |",
    ...subjects.map(({ name, median, p99, least, ratio, count }) => {
      const times = ratio === null ? "1" : shownRatio(ratio).replace("×", "");
      const figures = [median, p99, least].map(shown).join(" | ");
      return `| ${cell(name)} | ${figures} | ${times} | ${count} |`;
    }),
    "",
  ];
}

/** Text that stays within a cell of a table. */
function cell(text: string): string {
  return text.replace(/[\\|<]/g, "\\$&").replace(/\s+/g, " ");
}
