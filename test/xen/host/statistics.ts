/** Of a series of measurements: the middle, and how far they spread. */
export interface Spread {
  readonly count: number;
  readonly median: number;
  /** First and third quartile: half of all values lie between. */
  readonly low: number;
  readonly high: number;
  readonly least: number;
  readonly most: number;
}

/** Null of an empty series. */
export function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (fraction: number) => {
    const place = (sorted.length - 1) * fraction;
    const below = sorted[Math.floor(place)]!, above = sorted[Math.ceil(place)]!;
    return below + (above - below) * (place - Math.floor(place));
  };
  return {
    count: sorted.length,
    median: at(0.5),
    low: at(0.25),
    high: at(0.75),
    least: at(0),
    most: at(1),
  };
}
