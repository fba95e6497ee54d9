/** Where values stand on an axis. Pure. */

/** From how much between the least and the greatest value on an axis is logarithmic. */
const LOGARITHMIC_FROM = 50;

/** An axis. */
export interface Axis {
  readonly logarithmic: boolean;
  /** Values at its beginning and its end. */
  readonly from: number;
  readonly to: number;
  /** Values that are marked, ascending; the first is `from`, the last `to`. */
  readonly ticks: readonly number[];
  /** Where a value stands: 0 at the beginning, 1 at the end, never outside. */
  at(value: number): number;
}

/**
 * An axis for these values: from 0, or where they differ by more than 50 times from the power of
 * ten below them, as 0 has no logarithm.
 */
export function axisFor(values: readonly number[]): Axis {
  const positive = values.filter((value) => value > 0 && Number.isFinite(value));
  if (positive.length === 0) return linear(1);
  const [least, greatest] = [Math.min(...positive), Math.max(...positive)];
  return greatest / least > LOGARITHMIC_FROM ? logarithmic(least, greatest) : linear(greatest);
}

function linear(greatest: number): Axis {
  const step = niceStep(greatest / 5);
  const count = Math.max(1, Math.ceil(greatest / step - 1e-9));
  // Not by adding up: 0.1 + 0.2 is not 0.3.
  const ticks = Array.from({ length: count + 1 }, (_, at) => clean(at * step));
  const to = ticks.at(-1)!;
  return { logarithmic: false, from: 0, to, ticks, at: (value) => within(value / to) };
}

function logarithmic(least: number, greatest: number): Axis {
  const first = Math.floor(Math.log10(least) + 1e-9);
  const last = Math.max(first + 1, Math.ceil(Math.log10(greatest) - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, at) => clean(10 ** (first + at)));
  const at = (value: number) =>
    value <= 0 ? 0 : within((Math.log10(value) - first) / (last - first));
  return { logarithmic: true, from: ticks[0]!, to: ticks.at(-1)!, ticks, at };
}

/** The least of 1, 2 or 5 times a power of ten that is not below. */
function niceStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  const factor = [1, 2, 5, 10].find((factor) => factor * power >= step * (1 - 1e-9)) ?? 10;
  return factor * power;
}

function clean(value: number): number {
  return Number(value.toPrecision(12));
}

function within(share: number): number {
  return Math.min(1, Math.max(0, share));
}
