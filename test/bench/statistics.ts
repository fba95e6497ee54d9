/** Figures of a series of measurements. */

/** What is told of one. */
export interface Summary {
  readonly count: number;
  readonly median: number;
  /** 99th percentile; the greatest value of fewer than 100. */
  readonly p99: number;
  readonly least: number;
}

/** @throws RangeError when there are none */
export function summarise(values: readonly number[]): Summary {
  if (values.length === 0) throw new RangeError("no measurements");
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  return { count: sorted.length, median: at(0.5), p99: at(0.99), least: sorted[0]! };
}

/** `a` to `b`, by their medians. */
export function ratio(a: Summary, b: Summary): number {
  return a.median / b.median;
}
