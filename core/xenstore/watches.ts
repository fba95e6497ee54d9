/** The watches of a client: which there are, and arming them on whatever connection there is. */
import type { Cancel, Clock } from "../../platform/types.ts";
import { nulTerminated } from "./codec.ts";
import type { Connection, RequestOptions } from "./connection.ts";
import { DeadlineError, ServerError } from "./errors.ts";
import { Op } from "./operations.ts";

/**
 * Called when something at or below the watched path may have changed; `path` is the node that
 * did. Events are level triggers: they may be merged, repeated or spurious. Look, do not count.
 */
export type WatchHandler = (path: string) => void;

export interface Watch {
  readonly path: string;
  /** Ends it. Events already under way are dropped. */
  close(options?: RequestOptions): Promise<void>;
}

/** First pause before a refused watch is armed again, in ms; it doubles up to the maximum. */
const REARM_PAUSE_MS = 1_000;
const REARM_PAUSE_MAX_MS = 30_000;

interface WatchEntry {
  readonly path: string;
  readonly token: string;
  readonly handler: WatchHandler;
}

/** What watches need of their client. */
export interface WatchParts {
  readonly clock: Clock;
  /** The connection that there is now. */
  connection(): Connection;
  /** Told that the store refuses to arm one again; it is tried again later. */
  onRefused?(path: string, error: Error): void;
  /** Told of errors that handlers throw. */
  onOddity?(message: string): void;
}

export class Watches {
  readonly #parts: WatchParts;
  readonly #entries = new Map<string, WatchEntry>();
  #lastToken = 0;

  constructor(parts: WatchParts) {
    this.#parts = parts;
  }

  get count(): number {
    return this.#entries.size;
  }

  clear(): void {
    this.#entries.clear();
  }

  /** Arms one. @returns its token @throws what the connection throws */
  async add(path: string, handler: WatchHandler, options?: RequestOptions): Promise<string> {
    // A token is never used twice, so an event that was under way when its watch ended cannot
    // reach another handler. It is in the table before WATCH is sent, since the first event may
    // arrive before the reply.
    const token = `w${++this.#lastToken}`;
    this.#entries.set(token, { path, token, handler });
    const payload = nulTerminated(path, token);
    const connection = this.#parts.connection();
    try {
      await connection.request({
        type: Op.WATCH,
        payload,
        path,
        // Nobody wants it any more, but it counts against the domain's quota.
        late: () => {
          connection.request({ type: Op.UNWATCH, payload, path }).catch(() => {});
        },
      }, options);
    } catch (error) {
      this.#entries.delete(token);
      throw error;
    }
    return token;
  }

  /** Its events are dropped from now on. @returns whether there was one */
  delete(token: string): boolean {
    return this.#entries.delete(token);
  }

  /** An event has come. */
  fire(path: string, token: string): void {
    const entry = this.#entries.get(token);
    if (entry === undefined) return;
    try {
      entry.handler(path);
    } catch (error) {
      this.#parts.onOddity?.(`the handler of the watch on ${entry.path} failed: ${error}`);
    }
  }

  /** Arms them all on a new connection. @throws ConnectionError, SilenceError */
  async rearm(): Promise<void> {
    await Promise.all([...this.#entries.values()].map((entry) => this.#rearm(entry)));
  }

  /** One that the store refuses (its quota, say) does not keep the others from working. */
  async #rearm(entry: WatchEntry, pauseMs: number = REARM_PAUSE_MS): Promise<void> {
    const { path, token } = entry;
    const connection = this.#parts.connection();
    try {
      await connection.request({ type: Op.WATCH, payload: nulTerminated(path, token), path });
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.#parts.onRefused?.(path, error);
      this.#parts.clock.after(pauseMs, () => {
        const isWanted = this.#entries.get(token) === entry;
        if (!isWanted || connection !== this.#parts.connection()) return;
        this.#rearm(entry, Math.min(pauseMs * 2, REARM_PAUSE_MAX_MS)).catch(() => {});
      });
    }
  }
}

/**
 * Waits until `check` returns something other than undefined; it runs whenever the watch fires.
 * @param arm begins the watch, which fires once soon
 * @param whileConnected ends a wait when the connection is lost for good
 * @param path what is watched, for people
 * @throws DeadlineError after `timeoutMs`; the signal's reason; what the functions throw
 */
export async function lookUntil<T>(
  arm: (look: () => void) => Promise<Watch>,
  whileConnected: (work: Promise<T>) => Promise<T>,
  check: () => Promise<T | undefined>,
  path: string,
  clock: Clock,
  { signal, timeoutMs }: RequestOptions,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let running = false;
  let dirty = false;
  /** The caller goes on: nothing is checked behind its back. */
  let over = false;
  const look = async () => {
    dirty = true;
    if (running) return;
    running = true;
    try {
      while (dirty && !over) {
        dirty = false;
        const result = await check();
        if (result === undefined) continue;
        over = true;
        resolve(result);
      }
    } catch (error) {
      reject(error);
    } finally {
      running = false;
    }
  };
  const onAbort = () => reject(signal?.reason);
  if (signal?.aborted) throw signal.reason;
  signal?.addEventListener("abort", onAbort, { once: true });
  let cancel: Cancel = () => {};
  if (timeoutMs !== undefined) {
    cancel = clock.after(
      timeoutMs,
      () => reject(new DeadlineError(`${path}: nothing happened within ${timeoutMs} ms`)),
    );
  }
  // What it is rejected with before it is awaited is not lost.
  promise.catch(() => {});
  let watch: Watch | undefined;
  try {
    return await whileConnected((async () => {
      watch = await arm(look);
      return await promise;
    })());
  } finally {
    over = true;
    cancel();
    signal?.removeEventListener("abort", onAbort);
    watch?.close().catch(() => {});
  }
}
