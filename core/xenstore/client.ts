/** The xenstore client: one connection, many users. */
import type { Clock } from "../../platform/types.ts";
import { type Message, nulTerminated } from "./codec.ts";
import { NodeAccess } from "./access.ts";
import { Connection, type RequestOptions, type Traffic } from "./connection.ts";
import { ConnectionError, isServerError, ServerError, SilenceError } from "./errors.ts";
import { Op } from "./operations.ts";
import { checkPath } from "./paths.ts";
import {
  beginTransaction,
  Conflict,
  DEFAULT_ATTEMPTS,
  endTransaction,
  retryPauseMs,
  Transaction,
  type TransactionOptions,
} from "./transaction.ts";
import type { Transport } from "./transport.ts";
import { lookUntil, type Watch, Watches, type WatchHandler } from "./watches.ts";

export interface ClientOptions {
  /** Makes a connection to the store; called again after a loss if `reconnect` is set. */
  readonly connect: () => Promise<Transport>;
  readonly clock: Clock;
  /** Keep trying to come back after the store went away; default false. */
  readonly reconnect?: boolean;
  /** Requests outstanding at a time; 1 or more. */
  readonly window?: number;
  /** Transactions open at a time, 1 or more; default: no limit but the store's (10 a domain). */
  readonly transactions?: number;
  /** How long a request may go without an answer before `onSilence` is told, in ms. */
  readonly silenceMs?: number;
  /**
   * Told, once, that the store has not answered for as long as `silenceMs`; and, once, that it does
   * again, with how long it took.
   */
  onSilence?(state: "silent" | "answering", ms: number): void;
  /** Told that the store refuses to arm a watch again after a loss; it is tried again later. */
  onWatchRefused?(path: string, error: Error): void;
  /** Told when the connection is lost, and when it is back and all watches are armed again. */
  onConnection?(state: "lost" | "restored", error: Error | null): void;
  /** Told of oddities that harm nobody, and of errors that watch handlers throw. */
  onOddity?(message: string): void;
}

/** First pause before a reconnection attempt, in ms; it doubles up to the maximum. */
const RECONNECT_PAUSE_MS = 20;
const RECONNECT_PAUSE_MAX_MS = 2_000;
/** A connection that lasts so long, in ms, ends the doubling. */
const RECONNECT_PROVEN_MS = 1_000;

/** How often the store is looked at in the time that is left to it. */
const PATIENCE_LOOKS = 10;

/** How long a store may take at least to answer a WATCH, in ms, before it counts as silent. */
const WATCH_PATIENCE_MS = 5_000;

/**
 * What is asked again, unnoticed, when the connection was lost before the answer came. Changes are
 * not: the store that comes back may be another, empty one.
 */
const QUESTIONS: ReadonlySet<number> = new Set([
  Op.READ,
  Op.DIRECTORY,
  Op.DIRECTORY_PART,
  Op.GET_PERMS,
]);

/** A client of one store. All functions of {@link NodeAccess} work outside any transaction. */
export class StoreClient extends NodeAccess {
  readonly #options: ClientOptions;
  readonly #watches: Watches;
  readonly #traffic: Traffic = { requests: 0, roundTrips: 0 };
  #connection: Connection;
  /** Resolves when the connection is back; null while there is one. */
  #recovery: Promise<void> | null = null;
  #closed = false;
  /** Something has been answered: there is a store, and not just anything. */
  #proven = false;
  #openTransactions = 0;
  readonly #waitingForTransaction: (() => void)[] = [];
  /** What waits without asking, and is to end when the connection is lost for good. */
  readonly #waiting = new Set<(error: ConnectionError) => void>();
  /** When the connection was made, by the clock. */
  #connectedAt: number;
  #reconnectPauseMs = RECONNECT_PAUSE_MS;

  private constructor(options: ClientOptions, transport: Transport) {
    super();
    this.#options = options;
    this.#watches = new Watches({
      clock: options.clock,
      connection: () => this.#connection,
      onRefused: (path, error) => options.onWatchRefused?.(path, error),
      onOddity: (message) => options.onOddity?.(message),
    });
    this.#connectedAt = options.clock.now();
    this.#connection = this.#attach(transport);
  }

  /**
   * Connects to a store.
   * @throws whatever `options.connect` throws
   */
  static async connect(options: ClientOptions): Promise<StoreClient> {
    return new StoreClient(options, await options.connect());
  }

  /** Whether the connection is lost and is being made again. */
  get isRecovering(): boolean {
    return this.#recovery !== null && !this.#closed;
  }

  /** How much it has asked since it was made. */
  get traffic(): Readonly<Traffic> {
    return { ...this.#traffic };
  }

  /** Where the store is, for people. */
  get name(): string {
    return this.#connection.transport.name;
  }

  /** Whether a reply proves that earlier events have been delivered (not so on the device). */
  get ordered(): boolean {
    return this.#connection.transport.ordered;
  }

  /** Longest payload of one request, in bytes. */
  get maxPayload(): number {
    return this.#connection.transport.maxPayload;
  }

  /** Watches that are held: they count against the domain's quota (128, xenstored/domain.c). */
  get watchCount(): number {
    return this.#watches.count;
  }

  /**
   * What some work comes to that need not ask the store anything while it waits.
   * @throws ConnectionError as soon as the connection is lost for good; what the work throws
   */
  async whileConnected<T>(work: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    this.#waiting.add(reject);
    try {
      return await Promise.race([work, promise]);
    } finally {
      this.#waiting.delete(reject);
    }
  }

  /**
   * For who is about to end: from now on, a store that owes an answer for so long, or does not come
   * back within that time, is given up, and the client closed. Whatever waits for it ends then.
   */
  limitPatience(ms: number): void {
    const { clock } = this.#options;
    const heardAt = () => this.#recovery === null ? this.#connection.owesSince : lostAt;
    let lostAt: number | null = null;
    const look = () => {
      if (this.#closed) return;
      lostAt = this.#recovery === null ? null : lostAt ?? clock.now();
      const since = heardAt();
      if (since !== null && clock.now() - since >= ms) return this.close();
      clock.after(Math.max(1, Math.ceil(ms / PATIENCE_LOOKS)), look);
    };
    look();
  }

  /** Closes the connection; whatever waits is rejected, watches and transactions end. */
  close(): void {
    this.#closed = true;
    this.#watches.clear();
    this.#connection.close();
    const reason = new ConnectionError("the connection was closed");
    for (const give of [...this.#waiting]) give(reason);
  }

  /**
   * Runs `body` in a transaction and commits it; on a conflict everything is done again, reads
   * included, so `body` must be repeatable. So it is when the connection is lost and comes back;
   * if that happens during the commit, nobody knows whether it took effect. If `body` throws, the
   * transaction is aborted. `timeoutMs` applies to each request of it.
   * @throws what `body` throws; ServerError EAGAIN when it conflicted `attempts` times
   */
  async transaction<T>(
    body: (transaction: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    await this.#enterTransaction();
    try {
      const attempts = options.attempts ?? DEFAULT_ATTEMPTS;
      for (let attempt = 1;; attempt++) {
        try {
          return await this.#runTransaction(body, options);
        } catch (error) {
          if (this.#comesBack(error)) continue;
          if (!(error instanceof Conflict)) throw error;
          if (attempt >= attempts) throw error.cause;
        }
        await this.#pause(retryPauseMs(attempt, Math.random()), options.signal);
      }
    } finally {
      this.#openTransactions--;
      this.#waitingForTransaction.shift()?.();
    }
  }

  async #enterTransaction(): Promise<void> {
    const { transactions = Infinity } = this.#options;
    while (this.#openTransactions >= transactions) {
      await new Promise<void>((resolve) => this.#waitingForTransaction.push(resolve));
    }
    this.#openTransactions++;
  }

  /** @throws Conflict when another writer came first */
  async #runTransaction<T>(
    body: (transaction: Transaction) => Promise<T>,
    options: TransactionOptions,
  ): Promise<T> {
    if (this.#recovery !== null) await this.#waitForRecovery(options);
    const connection = this.#connection;
    const id = await beginTransaction(connection, options);
    const transaction = new Transaction(id, (type, payload, txId, path, given) => {
      // Ids mean nothing on another connection than the one they were made on.
      if (connection !== this.#connection) {
        return Promise.reject(new ConnectionError("the transaction's connection was lost"));
      }
      return connection.request({ type, payload, txId, path }, given);
    }, options);
    let result: T;
    try {
      result = await body(transaction);
    } catch (error) {
      endTransaction(connection, id, false, {}).catch(() => {});
      throw error;
    }
    try {
      await endTransaction(connection, id, true, options);
      return result;
    } catch (error) {
      // Given up before it was sent, maybe: then the transaction is still open.
      if (!(error instanceof ServerError)) {
        endTransaction(connection, id, false, {}).catch(() => {});
      }
      throw isServerError(error, "EAGAIN") ? new Conflict(error) : error;
    }
  }

  /** Whether this is the loss of a connection that is going to be made again. */
  #comesBack(error: unknown): boolean {
    return this.#proven && error instanceof ConnectionError && !this.#closed &&
      this.#options.reconnect === true && this.#connection.transport.reconnects;
  }

  /**
   * Watches a path and everything below it. The handler is called once soon, whatever is there,
   * then after every change. Special paths (`@introduceDomain`, `@releaseDomain`) are allowed.
   * A relative path gives relative paths to the handler.
   */
  async watch(path: string, handler: WatchHandler, options?: RequestOptions): Promise<Watch> {
    checkPath(path, true);
    // A recovery arms all that is in the table: what is put there meanwhile would be armed twice.
    while (this.#recovery !== null) await this.#waitForRecovery(options);
    const token = await this.#watches.add(path, handler, options);
    return {
      path,
      close: async (closeOptions) => {
        if (!this.#watches.delete(token) || this.#closed) return;
        try {
          await this.send(Op.UNWATCH, nulTerminated(path, token), path, closeOptions);
        } catch (error) {
          // Gone with its connection: what was wanted.
          if (!isServerError(error, "ENOENT") && !(error instanceof ConnectionError)) throw error;
        }
      },
    };
  }

  /**
   * Waits until `check` returns something other than undefined; it runs once at the start and
   * again after every change at or below `path`.
   * @throws DeadlineError after `timeoutMs`; SilenceError when the watch itself is not answered in that
   *   time, or {@link WATCH_PATIENCE_MS} if that is more; ConnectionError when the connection is lost, unless
   *   `reconnect` is set; what `check` throws
   */
  async watchUntil<T>(
    path: string,
    check: () => Promise<T | undefined>,
    options: RequestOptions = {},
  ): Promise<T> {
    const { timeoutMs } = options;
    // A short wait is over when it is over; it says nothing of the store.
    const patient = timeoutMs === undefined
      ? options
      : { ...options, timeoutMs: Math.max(timeoutMs, WATCH_PATIENCE_MS) };
    const watch = (look: () => void) => this.watch(path, look, patient);
    const whileConnected = (work: Promise<T>) => this.whileConnected(work);
    return await lookUntil(watch, whileConnected, check, path, this.#options.clock, options);
  }

  /**
   * Waits until the value of a node (undefined while it does not exist) satisfies a predicate, and
   * returns that value.
   * @throws DeadlineError after `timeoutMs`
   */
  async waitUntil(
    path: string,
    predicate: (value: string | undefined) => boolean,
    options?: RequestOptions,
  ): Promise<string | undefined> {
    const found = await this.watchUntil(path, async () => {
      const value = await this.readOptional(path, options);
      return predicate(value) ? { value } : undefined;
    }, options);
    return found.value;
  }

  /** Tells the store of a domain and its ring. Privileged. */
  async introduceDomain(
    domid: number,
    frame: number,
    port: number,
    options?: RequestOptions,
  ): Promise<void> {
    await this.#domain(Op.INTRODUCE, [domid, frame, port], options);
  }

  /** Makes the store forget a domain. Privileged. */
  async releaseDomain(domid: number, options?: RequestOptions): Promise<void> {
    await this.#domain(Op.RELEASE, [domid], options);
  }

  #domain(
    type: number,
    args: readonly number[],
    options: RequestOptions | undefined,
  ): Promise<Message> {
    return this.send(type, nulTerminated(...args.map(String)), undefined, options);
  }

  /**
   * While the connection is lost, requests wait for its return, as long as `timeoutMs` allows:
   * without it, for ever.
   */
  protected override send(
    type: number,
    payload: Uint8Array,
    path: string | undefined,
    options: RequestOptions | undefined,
  ): Promise<Message> {
    if (this.#recovery !== null || options?.timeoutMs !== undefined) {
      return this.#sendPatiently(type, payload, path, options);
    }
    const answer = this.#connection.request({ type, payload, txId: 0, path }, options);
    if (!QUESTIONS.has(type)) return answer;
    return answer.catch((error) => {
      if (!this.#comesBack(error)) throw error;
      return this.#sendPatiently(type, payload, path, options);
    });
  }

  async #sendPatiently(
    type: number,
    payload: Uint8Array,
    path: string | undefined,
    options: RequestOptions | undefined,
  ): Promise<Message> {
    const { clock } = this.#options;
    const start = clock.now();
    /** What is left of the deadline. */
    const left = (): RequestOptions | undefined =>
      options?.timeoutMs === undefined
        ? options
        : { ...options, timeoutMs: Math.max(0, options.timeoutMs - (clock.now() - start)) };
    for (;;) {
      if (this.#recovery !== null) await this.#waitForRecovery(left());
      try {
        return await this.#connection.request({ type, payload, path }, left());
      } catch (error) {
        if (!QUESTIONS.has(type) || !this.#comesBack(error)) throw error;
      }
    }
  }

  #attach(transport: Transport): Connection {
    return new Connection(
      transport,
      {
        event: (path, token) => this.#watches.fire(path, token),
        closed: (error) => this.#lost(error),
        oddity: (message) => this.#options.onOddity?.(message),
        silence: (state, ms) => this.#options.onSilence?.(state, ms),
      },
      this.#options.clock,
      this.#options.window,
      this.#options.onSilence === undefined ? undefined : this.#options.silenceMs,
      this.#traffic,
    );
  }

  #lost(error: ConnectionError): void {
    if (this.#closed) return;
    this.#proven ||= this.#connection.answered;
    const reconnect = this.#options.reconnect === true &&
      this.#connection.transport.reconnects;
    // A loss while recovering is seen by the recovery itself.
    if (reconnect && this.#recovery === null) this.#recovery = this.#recover();
    else if (reconnect) return;
    if (!reconnect) { for (const give of [...this.#waiting]) give(error); }
    this.#options.onConnection?.("lost", error);
  }

  async #recover(): Promise<void> {
    const { clock } = this.#options;
    if (clock.now() - this.#connectedAt >= RECONNECT_PROVEN_MS) {
      this.#reconnectPauseMs = RECONNECT_PAUSE_MS;
    }
    for (;;) {
      await this.#pause(this.#reconnectPauseMs, undefined);
      this.#reconnectPauseMs = Math.min(this.#reconnectPauseMs * 2, RECONNECT_PAUSE_MAX_MS);
      if (this.#closed) return;
      let attached: Connection | null = null;
      try {
        const transport = await this.#options.connect();
        if (this.#closed) return transport.close();
        this.#connectedAt = clock.now();
        attached = this.#connection = this.#attach(transport);
        await this.#watches.rearm();
        // Lost again, perhaps, without anything to arm that would have told.
        if (!attached.isClosed) break;
      } catch (error) {
        attached?.close();
        this.#options.onOddity?.(`not connected again yet: ${error}`);
      }
    }
    this.#recovery = null;
    this.#options.onConnection?.("restored", null);
  }

  async #waitForRecovery(options: RequestOptions | undefined): Promise<void> {
    const recovery = this.#recovery;
    if (recovery === null) return;
    if (options?.signal?.aborted) throw options.signal.reason;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => reject(options?.signal?.reason);
    options?.signal?.addEventListener("abort", onAbort, { once: true });
    const cancel = options?.timeoutMs === undefined ? () => {} : this.#options.clock.after(
      options.timeoutMs,
      () => reject(new SilenceError(`${this.name}: the store did not come back in time`)),
    );
    recovery.then(resolve, reject);
    try {
      await promise;
    } finally {
      cancel();
      options?.signal?.removeEventListener("abort", onAbort);
    }
    if (this.#closed) throw new ConnectionError("the client was closed");
  }

  #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = this.#options.clock.after(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }
}
