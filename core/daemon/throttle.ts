/** Bounds how often a guest's devices are looked at: a guest can change its state at will. */
import type { Cancel, Clock } from "../../platform/types.ts";

/** A limit on looks. */
export interface ThrottleLimits {
  /** Looks that a guest may cause at once. */
  readonly burst: number;
  /** Looks a second that it may cause in the long run. */
  readonly perSecond: number;
}

/**
 * No constants of Xen's. An attach takes some ten looks at most; a guest with 20 disks that boots
 * stays below the burst.
 */
export const DEFAULT_THROTTLE: ThrottleLimits = { burst: 200, perSecond: 50 };

interface Bucket {
  /** Looks left, as of `time`. */
  left: number;
  time: number;
  /** What is to be looked at when there are looks again; the order of arrival. */
  readonly due: Map<string, () => void>;
  timer: Cancel | null;
}

/**
 * Lets calls through at once while a guest has looks left; then merges them by key and lets them
 * through one after the other. Nothing is dropped: the last call for a key always leads to a look.
 */
export class Throttle {
  readonly #clock: Clock;
  readonly #limits: ThrottleLimits;
  readonly #buckets = new Map<number, Bucket>();

  constructor(clock: Clock, limits: ThrottleLimits = DEFAULT_THROTTLE) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Guests of which something is remembered: at most those with devices of late. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Calls `fn` now, or later in place of an earlier call with the same key. */
  run(guest: number, key: string, fn: () => void): void {
    const bucket = this.#bucketOf(guest);
    if (bucket.due.size === 0 && bucket.left >= 1) {
      bucket.left--;
      return fn();
    }
    bucket.due.set(key, fn);
    this.#schedule(bucket);
  }

  /** Forgets what is due. */
  stop(): void {
    for (const { timer } of this.#buckets.values()) timer?.();
    this.#buckets.clear();
  }

  #bucketOf(guest: number): Bucket {
    const now = this.#clock.now();
    let bucket = this.#buckets.get(guest);
    if (bucket === undefined) {
      this.#prune(now);
      bucket = { left: this.#limits.burst, time: now, due: new Map(), timer: null };
      this.#buckets.set(guest, bucket);
    }
    this.#refill(bucket, now);
    return bucket;
  }

  #refill(bucket: Bucket, now: number): void {
    const { burst, perSecond } = this.#limits;
    bucket.left = Math.min(burst, bucket.left + (now - bucket.time) / 1000 * perSecond);
    bucket.time = now;
  }

  /** A full bucket is as good as none. */
  #prune(now: number): void {
    for (const [guest, bucket] of this.#buckets) {
      this.#refill(bucket, now);
      if (bucket.due.size === 0 && bucket.left >= this.#limits.burst) this.#buckets.delete(guest);
    }
  }

  #schedule(bucket: Bucket): void {
    if (bucket.timer !== null || bucket.due.size === 0) return;
    const missing = Math.max(0, 1 - bucket.left);
    bucket.timer = this.#clock.after(Math.ceil(missing / this.#limits.perSecond * 1000), () => {
      bucket.timer = null;
      this.#refill(bucket, this.#clock.now());
      for (const [key, fn] of bucket.due) {
        if (bucket.left < 1) break;
        bucket.left--;
        bucket.due.delete(key);
        fn();
      }
      this.#schedule(bucket);
    });
  }
}
