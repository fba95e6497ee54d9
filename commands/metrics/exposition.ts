/** Prometheus' text format, version 0.0.4. Pure. */
import { printable } from "../../core/log/log.ts";

/** What a sample is told apart by. */
export type Labels = Readonly<Record<string, string | number>>;

/** One number. */
export type Sample = readonly [labels: Labels, value: number];

/** Durations or the like, in classes. */
export interface Histogram {
  readonly labels: Labels;
  readonly count: number;
  readonly sum: number;
  /** Upper ends, and how many there are up to that. */
  readonly buckets: readonly (readonly [most: number, count: number])[];
}

/** All of one name. */
export type Family =
  & { readonly name: string; readonly help: string }
  & (
    | { readonly type: "counter" | "gauge"; readonly samples: readonly Sample[] }
    | { readonly type: "histogram"; readonly histograms: readonly Histogram[] }
  );

/** Longest value of a label, in characters. */
const LABEL_MAX = 200;

/** The text; a family without samples is left out. */
export function exposition(families: readonly Family[]): string {
  return families.map((family) => {
    const lines = family.type === "histogram"
      ? family.histograms.flatMap((one) => histogramLines(family.name, one))
      : family.samples.map(([labels, value]) => line(family.name, labels, value));
    if (lines.length === 0) return "";
    const { name, help, type } = family;
    return [`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
  }).join("");
}

function histogramLines(name: string, { labels, count, sum, buckets }: Histogram): string[] {
  return [
    ...buckets.map(([most, within]) => line(`${name}_bucket`, { ...labels, le: most }, within)),
    line(`${name}_bucket`, { ...labels, le: "+Inf" }, count),
    line(`${name}_sum`, labels, sum),
    line(`${name}_count`, labels, count),
  ];
}

function line(name: string, labels: Labels, value: number): string {
  const parts = Object.entries(labels).map(([label, text]) => `${label}="${quoted(String(text))}"`);
  return `${name}${parts.length === 0 ? "" : `{${parts.join(",")}}`} ${value}`;
}

function quoted(text: string): string {
  return escaped(printable(text.slice(0, LABEL_MAX))).replaceAll('"', '\\"');
}

/** On one line. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
