/** The daemon's end of the socket of one server. */
import type { ByteStream, Clock } from "../../../platform/types.ts";
import { oneLine } from "../../log/log.ts";
import { encodeMessage, MessageSplitter } from "../control/messages.ts";
import { REASON_MAX, type ServerCalls } from "./protocol.ts";

/** How long an answer is waited for, in ms: a server does nothing between two turns of its loop. */
export const ANSWER_MS = 3_000;

/** Lines for the log in a row; what is more is dropped until the daemon has called again. */
const LINES_MAX = 100;

/** Bytes in a row, likewise: whoever says more is not listened to any more. */
const BYTES_MAX = 1024 * 1024;

/** Who is told what a server tells by itself. */
export interface LinkEvents {
  failed(reason: string): void;
  log(level: "info" | "warning", text: string): void;
  /** The connection has ended, other than by `end`. */
  lost(): void;
}

interface Waiting {
  resolve(parameters: Readonly<Record<string, unknown>>): void;
  reject(error: Error): void;
}

/** Calls the server. */
export class ServerLink {
  readonly #stream: ByteStream;
  readonly #clock: Clock;
  readonly #events: LinkEvents;
  readonly #splitter = new MessageSplitter();
  /** Calls that are not answered: answers come in their order. */
  readonly #waiting: Waiting[] = [];
  #lines = 0;
  #bytes = 0;
  #isOpen = true;
  #isEnding = false;
  readonly #closed = Promise.withResolvers<void>();

  constructor(stream: ByteStream, clock: Clock, events: LinkEvents) {
    this.#stream = stream;
    this.#clock = clock;
    this.#events = events;
    stream.start({ data: (chunk) => this.#take(chunk), closed: () => this.#end() });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Resolves when the other side has gone. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** @throws Error with what the server says, or that it does not answer */
  async call<Name extends keyof ServerCalls>(
    method: Name,
    parameters: Parameters<ServerCalls[Name]>[0] | Record<string, never> = {},
    ms = ANSWER_MS,
  ): Promise<ReturnType<ServerCalls[Name]>> {
    if (!this.#isOpen) throw new Error("its server is gone");
    this.#lines = this.#bytes = 0;
    const { promise, resolve, reject } = Promise.withResolvers<Readonly<Record<string, unknown>>>();
    this.#waiting.push({ resolve, reject });
    // Answers come in order: after one that is late nothing can be made of any other.
    const cancel = this.#clock.after(ms, () => {
      reject(new Error(`its server does not answer (${method}, ${ms / 1000} s)`));
      this.#stream.close();
    });
    this.#stream.write(encodeMessage({ method, parameters: { ...parameters } }));
    try {
      return await promise as ReturnType<ServerCalls[Name]>;
    } finally {
      cancel();
    }
  }

  /** Ends the connection; the server goes on. */
  end(): void {
    this.#isEnding = true;
    this.#stream.close();
  }

  #take(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes > BYTES_MAX) {
      this.#events.failed("it says more than anybody has asked it");
      return this.#stream.close();
    }
    try {
      for (const message of this.#splitter.push(chunk)) this.#hear(message);
    } catch {
      this.#stream.close();
    }
  }

  #hear(message: Readonly<Record<string, unknown>>): void {
    const { method, error, parameters } = message;
    const given =
      (typeof parameters === "object" && parameters !== null ? parameters : {}) as Record<
        string,
        unknown
      >;
    const text = (value: unknown) => oneLine(typeof value === "string" ? value : "", REASON_MAX);
    if (method === "failed") {
      return this.#events.failed(text(given["reason"]) || "it does not say why");
    }
    if (method === "log") {
      if (this.#lines++ >= LINES_MAX) return;
      return this.#events.log(
        given["level"] === "warning" ? "warning" : "info",
        text(given["text"]),
      );
    }
    const call = this.#waiting.shift();
    if (call === undefined) return this.#stream.close();
    if (error === undefined) call.resolve(given);
    else {call.reject(
        new Error(text(given["reason"]) || "its server refuses, and does not say why"),
      );}
  }

  #end(): void {
    this.#isOpen = false;
    for (const { reject } of this.#waiting.splice(0)) reject(new Error("its server has ended"));
    this.#closed.resolve();
    if (!this.#isEnding) this.#events.lost();
  }
}
