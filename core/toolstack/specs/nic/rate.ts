/** Rate limits of network interfaces (docs/man/xl-network-configuration.5, libxlu_vif.c). Pure. */
import { placeIn, SpecError, type SpecPlace } from "../spec_error.ts";

/** A rate limit. */
export interface NicRate {
  /** 0 … 2^32-1 times 10^9. */
  readonly bytesPerSecond: bigint;
  /** How often the guest gets new credit, in µs: 1 … 2^32-1. */
  readonly intervalUs: number;
}

/** How often a guest gets new credit if nothing is said, in µs (libxlu_vif.c). */
export const RATE_INTERVAL_US = 50_000;

const NUMBER_MAX = 0xffffffff;
const U64_MAX = 2n ** 64n - 1n;
const UNITS = { "": 1n, K: 1_000n, M: 1_000_000n, G: 1_000_000_000n } as const;
const INTERVAL_UNITS = { "": 1_000_000, m: 1_000, u: 1 } as const;

const RULE = "N[G|M|K](B|b)/s[@I[m|u][s]], such as 10MB/s or 250Kb/s@20ms";

/** Bytes that the guest may send in one interval. */
export function bytesPerInterval({ bytesPerSecond, intervalUs }: NicRate): bigint {
  return bytesPerSecond * BigInt(intervalUs) / 1_000_000n;
}

/**
 * Parses a rate.
 * @param value the rate, at the end of the text at `place`
 * @param warn is told when a leading zero makes a number octal, which nobody may have meant
 * @throws SpecError
 */
export function parseRate(
  value: string,
  place: SpecPlace,
  warn: (warning: string) => void,
): NicRate {
  const at = value.indexOf("@");
  const rateText = at < 0 ? value : value.slice(0, at);
  const start = place.offset + place.length - value.length;
  const fault = (category: string, from: number, length: number, expected: string): never => {
    throw new SpecError(
      "vif",
      category,
      placeIn(place.text, place.argument, start + from, length),
      expected,
    );
  };
  if (rateText === "") {
    throw new SpecError("vif", "no rate specified", place, RULE);
  }
  const [, digits = "", unit = "", letter] = /^(\d+)([GMK]?)([Bb])\/s$/.exec(rateText) ?? [];
  const number = letter === undefined ? undefined : parseNumber(digits, warn);
  if (number === undefined) return fault("invalid rate", 0, rateText.length, RULE);
  if (number === 0n || number > NUMBER_MAX) {
    return fault("rate overflow", 0, rateText.length, `a number 1 to ${NUMBER_MAX}`);
  }
  const units = number * UNITS[unit as keyof typeof UNITS];
  const bytesPerSecond = letter === "b" ? units / 8n : units;
  let intervalUs = RATE_INTERVAL_US;
  if (at >= 0) {
    const text = value.slice(at + 1);
    const [, count = "", scale] = /^(\d+)([mu]?)s?$/.exec(text) ?? [];
    const interval = scale === undefined ? undefined : parseNumber(count, warn);
    if (interval === undefined) {
      return fault("invalid replenishment interval", at + 1, text.length, "such as 50ms, 20us, 1s");
    }
    const microseconds = interval * BigInt(INTERVAL_UNITS[scale as keyof typeof INTERVAL_UNITS]);
    if (microseconds === 0n || interval > NUMBER_MAX || microseconds > NUMBER_MAX) {
      const expected = `1 to ${NUMBER_MAX} µs`;
      return fault("replenishment interval overflow", at + 1, text.length, expected);
    }
    intervalUs = Number(microseconds);
  }
  if (bytesPerSecond > U64_MAX / BigInt(intervalUs)) {
    return fault("rate overflow", 0, value.length, "fewer than 2^64 bytes times µs");
  }
  return { bytesPerSecond, intervalUs };
}

/** A rate from which the parser makes the same one again. */
export function formatRate({ bytesPerSecond, intervalUs }: NicRate): string {
  for (const [unit, factor] of Object.entries(UNITS).reverse()) {
    if (bytesPerSecond % factor === 0n && inRange(bytesPerSecond / factor)) {
      return `${bytesPerSecond / factor}${unit}B/s@${intervalUs}us`;
    }
  }
  // Too large or too small for bytes: the smallest number of bits that comes down to it.
  for (const [unit, factor] of Object.entries(UNITS)) {
    const count = (bytesPerSecond * 8n + factor - 1n) / factor || 1n;
    if (inRange(count) && count * factor / 8n === bytesPerSecond) {
      return `${count}${unit}b/s@${intervalUs}us`;
    }
  }
  throw new RangeError(`no rate: ${bytesPerSecond} bytes a second`);
}

function inRange(count: bigint): boolean {
  return count >= 1n && count <= NUMBER_MAX;
}

/** Digits as C reads them: octal after a leading zero. undefined for 08 and 09. */
function parseNumber(digits: string, warn: (warning: string) => void): bigint | undefined {
  if (!/^0\d/.test(digits)) return BigInt(digits);
  if (!/^[0-7]+$/.test(digits)) return undefined;
  const value = BigInt(`0o${digits}`);
  warn(`rate: ${digits} is taken as an octal number, ${value}; write it without the leading zero`);
  return value;
}
