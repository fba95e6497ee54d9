/** One connection to a store, shared by many requests at once. */
import type { Cancel, Clock } from "../../platform/types.ts";
import { encodeMessage, type Message, MessageParser, splitNul, toText } from "./codec.ts";
import {
  ArgumentError,
  ConnectionError,
  ProtocolError,
  ServerError,
  SilenceError,
} from "./errors.ts";
import { Op, opName } from "./operations.ts";
import type { Transport } from "./transport.ts";

/**
 * Requests outstanding at a time. The C daemon limits only guests (20 unanswered, then it stops
 * reading) and handles one per turn, in 6 µs or so; as many as keep it busy while we are away. About
 * 128 answers that nobody has read, each two writes, fill its socket, and it waits.
 */
export const DEFAULT_WINDOW = 64;

/**
 * Requests outstanding from which replies are let gather. The store wakes us with the first byte it
 * writes; to wake up, read and go to sleep costs several times what is done with a reply, and where
 * it happens on the store's processor it keeps the store from the rest. So many take the store as
 * long as gathering takes, so nobody waits longer for it.
 */
const GATHER_FROM = 24;

/**
 * Longest reply accepted, in bytes: the OCaml daemon answers sockets with more than 4096. A listing of
 * it is a hundred thousand names; a longer one would not be read, but held in memory many times over.
 */
export const REPLY_MAX = 4 * 1024 * 1024;

/** How long an operation may take unless told otherwise, in ms: a live update alone takes up to 60 s. */
export const DEFAULT_TIMEOUT_MS = 90_000;

/** Limits of one operation. */
export interface RequestOptions {
  /** Ends the wait at once with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the wait with a {@link SilenceError}; in ms, default {@link DEFAULT_TIMEOUT_MS}. */
  readonly timeoutMs?: number | undefined;
}

export interface Request {
  readonly type: number;
  readonly payload: Uint8Array;
  readonly txId?: number;
  /** For error messages. */
  readonly path?: string | undefined;
  /** Called with the reply when it comes after the caller has given up waiting. */
  late?(reply: Message): void;
}

/** How much is asked of a store. */
export interface Traffic {
  requests: number;
  /** How often something was asked while nothing was: what is asked meanwhile goes with it. */
  roundTrips: number;
}

/** Receives what nobody asked for. */
export interface ConnectionEvents {
  /** A watch fired. */
  event(path: string, token: string): void;
  /** The connection is gone; every outstanding request has been rejected. Called exactly once. */
  closed(error: ConnectionError): void;
  /** Something odd that harms nobody: a reply without a request, say. */
  oddity?(message: string): void;
  /** No answer has come for as long as is allowed; or one has, after so many milliseconds. */
  silence?(state: "silent" | "answering", ms: number): void;
}

/** A request whose answer somebody waits for, or has given up waiting for. */
class Outstanding {
  readonly request: Request;
  /** When waiting ends, by the clock; unless a timer of its own says so. */
  readonly deadline: number;
  readonly #resolve: (message: Message) => void;
  readonly #reject: (reason: unknown) => void;
  #givenUp = false;
  /** Ends timer and signal; null where there is neither. */
  release: Cancel | null = null;

  constructor(
    request: Request,
    deadline: number,
    resolve: (message: Message) => void,
    reject: (reason: unknown) => void,
  ) {
    this.request = request;
    this.deadline = deadline;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get isWaiting(): boolean {
    return !this.#givenUp;
  }

  settle(result: Message | Error): void {
    if (this.#givenUp) {
      if (!(result instanceof Error)) this.request.late?.(result);
      return;
    }
    this.#givenUp = true;
    this.release?.();
    if (result instanceof Error) this.#reject(result);
    else this.#resolve(result);
  }

  giveUp(reason: unknown): void {
    if (this.#givenUp) return;
    this.#givenUp = true;
    this.release?.();
    this.#reject(reason);
  }
}

/** Multiplexes requests over a {@link Transport}: replies find their request by id. */
export class Connection {
  readonly transport: Transport;
  readonly #events: ConnectionEvents;
  readonly #clock: Clock;
  readonly #parser = new MessageParser(REPLY_MAX);
  readonly #window: number;
  readonly #outstanding = new Map<number, Outstanding>();
  readonly #queue: Outstanding[] = [];
  readonly #silenceMs: number | undefined;
  readonly #traffic: Traffic;
  /** When something was last heard, or first asked after all was answered; by the clock. */
  #heardAt = 0;
  #silent = false;
  #silenceTimer: Cancel | null = null;
  #sweepTimer: Cancel | null = null;
  #lastId = 0;
  #closed: ConnectionError | null = null;
  #answered = false;

  /**
   * @param silenceMs how long there may be no answer before it is reported; default: for ever
   * @param traffic is counted up
   */
  constructor(
    transport: Transport,
    events: ConnectionEvents,
    clock: Clock,
    window: number = DEFAULT_WINDOW,
    silenceMs?: number,
    traffic: Traffic = { requests: 0, roundTrips: 0 },
  ) {
    this.#silenceMs = silenceMs;
    this.#traffic = traffic;
    this.transport = transport;
    this.#events = events;
    this.#clock = clock;
    this.#window = Math.min(window, transport.window);
    transport.start({
      data: (chunk) => this.#receive(chunk),
      closed: (error) => this.#lost(error),
      awaits: () => this.#outstanding.size > 0,
    });
  }

  get isClosed(): boolean {
    return this.#closed !== null;
  }

  /** Whether any request has been answered. */
  get answered(): boolean {
    return this.#answered;
  }

  /**
   * When the store last answered, or, if that was before, when the oldest of what it owes an answer
   * was sent; by the clock. null while it owes none.
   */
  get owesSince(): number | null {
    return this.#outstanding.size === 0 ? null : this.#heardAt;
  }

  /** Requests sent and not answered, or waiting to be sent. */
  get outstanding(): number {
    return this.#outstanding.size + this.#queue.length;
  }

  /**
   * Sends a request and resolves with its reply.
   * @throws ServerError the store refused it
   * @throws ArgumentError it is longer than the transport can carry; nothing was sent
   * @throws ConnectionError the connection was lost; whether it took effect is unknown
   * @throws SilenceError it was not answered in time; whether it takes effect is unknown
   */
  request(request: Request, options: RequestOptions = {}): Promise<Message> {
    const { type, payload } = request;
    if (payload.length > this.transport.maxPayload) {
      return Promise.reject(
        new ArgumentError(
          `${opName(type)}${request.path ? ` ${request.path}` : ""}: ${payload.length} bytes; ` +
            `${this.transport.name} carries at most ${this.transport.maxPayload} in one message`,
        ),
      );
    }
    if (options.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.#closed !== null) return Promise.reject(this.#closed);
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    const deadline = this.#clock.now() + DEFAULT_TIMEOUT_MS;
    const entry = new Outstanding(request, deadline, resolve, reject);
    if (options.signal === undefined && options.timeoutMs === undefined) this.#sweepLater();
    else this.#limit(entry, options);
    this.#queue.push(entry);
    this.#pump();
    return promise;
  }

  /** Gives a request limits of its own. */
  #limit(entry: Outstanding, { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: RequestOptions): void {
    const onAbort = () => this.#giveUp(entry, signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const cancelTimer = this.#clock.after(
      timeoutMs,
      () => this.#giveUp(entry, this.#lateness(entry, timeoutMs)),
    );
    entry.release = () => {
      cancelTimer();
      signal?.removeEventListener("abort", onAbort);
    };
  }

  /**
   * A request that was sent keeps its id until the answer comes, so that the answer is not taken for
   * another's.
   */
  #giveUp(entry: Outstanding, reason: unknown): void {
    const waiting = this.#queue.indexOf(entry);
    if (waiting >= 0) this.#queue.splice(waiting, 1);
    entry.giveUp(reason);
  }

  #lateness({ request: { type, path } }: Outstanding, timeoutMs: number): SilenceError {
    return new SilenceError(
      `${opName(type)}${path ? ` ${path}` : ""}: ` +
        `no answer from ${this.transport.name} within ${timeoutMs} ms`,
    );
  }

  /** One timer for all requests without limits of their own: most are answered at once. */
  #sweepLater(): void {
    this.#sweepTimer ??= this.#clock.after(DEFAULT_TIMEOUT_MS, () => this.#sweep());
  }

  #sweep(): void {
    this.#sweepTimer = null;
    const now = this.#clock.now();
    let next = Infinity;
    for (const entry of [...this.#outstanding.values(), ...this.#queue]) {
      if (!entry.isWaiting || entry.release !== null) continue;
      if (entry.deadline <= now) this.#giveUp(entry, this.#lateness(entry, DEFAULT_TIMEOUT_MS));
      else next = Math.min(next, entry.deadline);
    }
    if (next === Infinity || this.#closed !== null) return;
    this.#sweepTimer = this.#clock.after(next - now, () => this.#sweep());
  }

  /** Closes the connection; outstanding requests are rejected. */
  close(): void {
    if (this.#closed !== null) return;
    this.transport.close();
    this.#lost(null, "the connection was closed");
  }

  #pump(): void {
    while (this.#outstanding.size < this.#window) {
      const entry = this.#queue.shift();
      if (entry === undefined) return;
      const reqId = this.#nextId();
      const { type, payload, txId = 0 } = entry.request;
      this.#traffic.requests++;
      if (this.#outstanding.size === 0) {
        this.#traffic.roundTrips++;
        this.#startListening();
      }
      this.#outstanding.set(reqId, entry);
      try {
        this.transport.send(encodeMessage({ type, reqId, txId, payload }));
      } catch (error) {
        this.#outstanding.delete(reqId);
        entry.settle(
          error instanceof ServerError
            ? new ServerError(error.code, error.operation, entry.request.path)
            : error as Error,
        );
      }
    }
  }

  #startListening(): void {
    this.#heardAt = this.#clock.now();
    if (this.#silenceMs !== undefined) this.#listen(this.#silenceMs);
  }

  /** A timer that runs only while there is something to wait for. */
  #listen(ms: number): void {
    if (this.#silenceTimer !== null) return;
    this.#silenceTimer = this.#clock.after(ms, () => {
      this.#silenceTimer = null;
      if (this.#outstanding.size === 0 || this.#silent || this.#silenceMs === undefined) return;
      const passed = this.#clock.now() - this.#heardAt;
      if (passed < this.#silenceMs) return this.#listen(this.#silenceMs - passed);
      this.#silent = true;
      this.#events.silence?.("silent", passed);
    });
  }

  #heard(): void {
    const now = this.#clock.now();
    if (this.#silent) {
      this.#silent = false;
      this.#events.silence?.("answering", now - this.#heardAt);
      if (this.#silenceMs !== undefined) this.#listen(this.#silenceMs);
    }
    this.#heardAt = now;
  }

  #nextId(): number {
    do {
      this.#lastId = this.#lastId === 0xffffffff ? 1 : this.#lastId + 1;
    } while (this.#outstanding.has(this.#lastId));
    return this.#lastId;
  }

  #receive(chunk: Uint8Array): void {
    if (this.#closed !== null) return;
    let messages: Message[];
    try {
      messages = this.#parser.push(chunk);
    } catch (error) {
      this.transport.close();
      this.#lost(error as Error);
      return;
    }
    let answers = 0;
    for (const message of messages) if (this.#dispatch(message)) answers++;
    if (answers === 0) return;
    this.#answered = true;
    this.#heard();
    this.#pump();
    // Where most came at once, it is we who are slow: there is enough to do.
    const left = this.#outstanding.size;
    if (left >= GATHER_FROM && left >= answers) this.transport.gather?.();
  }

  /** Whether it was the answer to a request. */
  #dispatch(message: Message): boolean {
    if (message.type === Op.WATCH_EVENT) {
      // Ids of events are uninitialised memory on the device: never looked at.
      const [path, token] = splitNul(message.payload);
      if (path === undefined || token === undefined) {
        this.#events.oddity?.("a watch event without path and token");
      } else this.#events.event(toText(path), toText(token));
      return false;
    }
    const reqId = this.#requestOf(message);
    const entry = this.#outstanding.get(reqId);
    if (entry === undefined) {
      this.#events.oddity?.(`a reply to ${opName(message.type)} that nobody asked for`);
      return false;
    }
    this.#outstanding.delete(reqId);
    const { type, path } = entry.request;
    if (message.type === Op.ERROR) {
      const [name] = splitNul(message.payload);
      entry.settle(new ServerError(name ? toText(name) : "EIO", opName(type), path));
    } else if (message.type !== type) {
      entry.settle(
        new ProtocolError(`${opName(type)} was answered by ${opName(message.type)}`),
      );
    } else entry.settle(message);
    return true;
  }

  /** Kernels before 4.11 answer WATCH and UNWATCH with id 0, which is no request's. */
  #requestOf({ type, reqId }: Message): number {
    if (reqId !== 0 || type !== Op.WATCH && type !== Op.UNWATCH) return reqId;
    for (const [id, { request }] of this.#outstanding) if (request.type === type) return id;
    return reqId;
  }

  #lost(error: Error | null, what: string = `${this.transport.name}: the store went away`): void {
    if (this.#closed !== null) return;
    const code = (error as { code?: unknown } | null)?.code;
    const reason = new ConnectionError(
      error === null ? what : `${what}: ${error.message}`,
      typeof code === "string" ? code : undefined,
    );
    this.#closed = reason;
    this.#silenceTimer?.();
    this.#sweepTimer?.();
    const entries = [...this.#outstanding.values(), ...this.#queue];
    this.#outstanding.clear();
    this.#queue.length = 0;
    for (const entry of entries) entry.settle(reason);
    this.#events.closed(reason);
  }
}
