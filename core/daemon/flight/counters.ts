/** What the daemon counts from its start on: as many numbers as there are kinds and codes, no more. */
import { codeIn } from "../../messages/table.ts";

/** What is done for a device. */
export type OperationName = "attach" | "detach";

/** Upper ends of the classes of durations, in ms: a native attach takes 5, a script may take 40,000. */
export const BUCKETS_MS: readonly number[] = [
  ...[2, 5, 10, 25, 50, 100, 250, 500],
  ...[1_000, 2_500, 5_000, 10_000, 30_000, 60_000],
];

/** Durations, in classes. */
export interface HistogramReport {
  readonly count: number;
  /** Of all durations, in ms. */
  readonly sumMs: number;
  /** How many took at most so long: each class has those before it; of the last, that is `count`. */
  readonly buckets: readonly { readonly leMs: number; readonly count: number }[];
}

/** What has been done for the devices of one kind. */
export interface OperationCount {
  readonly kind: string;
  readonly operation: OperationName;
  readonly succeeded: number;
  readonly failed: number;
  /** Of those that succeeded. */
  readonly duration: HistogramReport;
}

interface Row {
  readonly kind: string;
  readonly operation: OperationName;
  failed: number;
  count: number;
  sumMs: number;
  readonly classes: number[];
}

/** Counts. */
export class Counters {
  readonly #rows = new Map<string, Row>();
  readonly #failures = new Map<string, number>();
  /** Tries of what had failed or was refused before. */
  retries = 0;

  /** @param ms how long it took */
  succeeded(kind: string, operation: OperationName, ms: number): void {
    const row = this.#row(kind, operation);
    row.count++;
    row.sumMs += ms;
    const at = BUCKETS_MS.findIndex((most) => ms <= most);
    if (at >= 0) row.classes[at]!++;
  }

  failed(kind: string, operation: OperationName): void {
    this.#row(kind, operation).failed++;
  }

  /** @param line as it is told to people: with its code, if it has one */
  failure(line: string): void {
    const code = codeIn(line) ?? "failed";
    this.#failures.set(code, (this.#failures.get(code) ?? 0) + 1);
  }

  get operations(): OperationCount[] {
    return [...this.#rows.values()].map(({ kind, operation, failed, count, sumMs, classes }) => {
      let sum = 0;
      const buckets = BUCKETS_MS.map((leMs, at) => ({ leMs, count: sum += classes[at]! }));
      return {
        ...{ kind, operation, succeeded: count, failed },
        duration: { count, sumMs: tenths(sumMs), buckets },
      };
    });
  }

  get failures(): { readonly code: string; readonly count: number }[] {
    return [...this.#failures].map(([code, count]) => ({ code, count }));
  }

  #row(kind: string, operation: OperationName): Row {
    const key = `${kind} ${operation}`;
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { kind, operation, failed: 0, count: 0, sumMs: 0, classes: BUCKETS_MS.map(() => 0) };
      this.#rows.set(key, row);
    }
    return row;
  }
}

/** A time without the digits that nobody has measured. */
export function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
