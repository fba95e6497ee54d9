/** What benchmarks measure, and what is told of it. Pure. */
import { type Ratio, ratio, type Summary } from "./statistics.ts";

/** What a benchmark measured. */
export interface Result {
  /** What, in words. */
  readonly what: string;
  readonly unit: string;
  /** By subject, the one that others are compared with first. */
  readonly subjects: Readonly<Record<string, Summary>>;
  /** Where the subjects are points along an axis: what grows, and how far it has, for each. */
  readonly along?: Along;
}

/** An axis. */
export interface Along {
  readonly what: string;
  /** In the order of the subjects; above 0, ascending. */
  readonly at: readonly number[];
}

/** A benchmark. */
export type Benchmark = () => Promise<Result[]>;

/** A result as it is printed, drawn and kept. */
export interface Figures {
  readonly what: string;
  readonly unit: string;
  readonly along?: Along;
  readonly subjects: readonly SubjectFigures[];
}

/** One subject's. */
export interface SubjectFigures {
  readonly name: string;
  /** How many measurements. */
  readonly count: number;
  readonly least: number;
  readonly median: number;
  readonly p99: number;
  /** To the first subject; null for that one. */
  readonly ratio: Ratio | null;
}

/** On what it was measured. */
export interface Environment {
  /** Of the day, as `2026-11-21`. */
  readonly date: string;
  readonly processor: string;
  readonly processors: number;
  /** Processes that were runnable on average in the minute before. */
  readonly load: number;
  readonly kernel: string;
  /** Of what is measured and its peers, by name. */
  readonly versions: Readonly<Record<string, string>>;
}

/** A run of one benchmark: what `docs/bench/NAME.json` has. */
export interface Recorded {
  readonly name: string;
  readonly environment: Environment;
  readonly figures: readonly Figures[];
}

/** What is told of a result. */
export function figuresOf({ what, unit, along, subjects }: Result): Figures {
  const [first] = Object.values(subjects);
  return {
    what,
    unit,
    ...(along === undefined ? {} : { along }),
    subjects: Object.entries(subjects).map(([name, summary]) => ({
      name,
      count: summary.count,
      least: rounded(summary.least),
      median: rounded(summary.median),
      p99: rounded(summary.p99),
      ratio: first === undefined || summary === first || first.median === 0
        ? null
        : roundedRatio(ratio(summary, first)),
    })),
  };
}

function roundedRatio({ median, spread }: Ratio): Ratio {
  return {
    median: rounded(median),
    spread: spread === null ? null : [rounded(spread[0]), rounded(spread[1])],
  };
}

/** To 4 digits: more say nothing. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** On what it was measured, and when, in one line. */
export function machine({ date, processor, processors, kernel, load }: Environment): string {
  return `${date}; ${processor}, ${processors} processors, load ${load}; ${kernel}`;
}

/** A figure for people: two digits or more that say something. */
export function shown(value: number): string {
  if (value !== 0 && Math.abs(value) < 0.1) return String(Number(value.toPrecision(2)));
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}

/** A ratio for people: `1.57 (1.40 to 1.80)`. */
export function shownRatio({ median, spread }: Ratio): string {
  return spread === null
    ? `${shown(median)}×`
    : `${shown(median)}× (${shown(spread[0])} to ${shown(spread[1])})`;
}
