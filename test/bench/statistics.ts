/** Figures of a series of measurements. Pure. */

/** What is told of one. */
export interface Summary {
  readonly count: number;
  readonly median: number;
  /** 99th percentile; the greatest value of fewer than 100. */
  readonly p99: number;
  readonly least: number;
  /** All values, in the order in which they were measured. */
  readonly series: readonly number[];
}

/** How many times as much. */
export interface Ratio {
  /** Of the rounds' ratios; without rounds, the ratio of the medians. */
  readonly median: number;
  /**
   * First and third quartile of the rounds' ratios: between them is the middle half of the rounds.
   * Null where there are no rounds in which both were measured.
   */
  readonly spread: readonly [number, number] | null;
}

/** @throws RangeError when there are none */
export function summarise(values: readonly number[]): Summary {
  if (values.length === 0) throw new RangeError("no measurements");
  const sorted = [...values].sort((a, b) => a - b);
  return {
    count: sorted.length,
    median: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    least: sorted[0]!,
    series: values,
  };
}

/**
 * `a` to `b`. What the machine does meanwhile slows down both sides of a round, so it is the rounds'
 * ratios that are told.
 */
export function ratio(a: Summary, b: Summary): Ratio {
  if (a.count !== b.count || a.count < 4) return { median: a.median / b.median, spread: null };
  const ratios = a.series.map((value, round) => value / b.series[round]!).sort((x, y) => x - y);
  const [lower, median, upper] = [0.25, 0.5, 0.75].map((share) => quantile(ratios, share));
  return { median: median!, spread: [lower!, upper!] };
}

/** @param sorted ascending, not empty */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}
