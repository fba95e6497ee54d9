/**
 * A connection to the embedded store on which nothing moves by itself: each request is carried out,
 * and each answer and event arrives, when the test says so. As on a socket, all stay in order.
 */
import type { ByteStream, ByteStreamHandlers } from "../../platform/types.ts";
import { HEADER_SIZE, Op } from "../../core/xenstore/operations.ts";

/** The two ends, and how to move what is between them. */
export class SteppedStream {
  readonly client: ByteStream;
  readonly server: ByteStream;
  readonly #requests: Uint8Array[] = [];
  readonly #answers: Uint8Array[] = [];
  #toClient: ByteStreamHandlers | null = null;
  #toServer: ByteStreamHandlers | null = null;
  #closed = false;

  constructor() {
    this.client = this.#end((handlers) => this.#toClient = handlers, this.#requests);
    this.server = this.#end((handlers) => this.#toServer = handlers, this.#answers);
  }

  /** Has the store carry out the oldest request; false when there is none. */
  serve(): boolean {
    return this.#move(this.#requests, this.#toServer);
  }

  /** Delivers the oldest answer or event; false when there is none. */
  deliver(): boolean {
    return this.#move(this.#answers, this.#toClient);
  }

  /**
   * Delivers the oldest event before all answers, or the oldest answer before all events, as the
   * kernel's device may; false when there is none.
   */
  overtake(what: "event" | "answer"): boolean {
    const at = this.#answers.findIndex((message) =>
      (typeOf(message) === Op.WATCH_EVENT) === (what === "event")
    );
    if (at > 0) this.#answers.unshift(...this.#answers.splice(at, 1));
    return at >= 0 && this.deliver();
  }

  /** Whether anything is under way. */
  get isQuiet(): boolean {
    return this.#closed || this.#requests.length + this.#answers.length === 0;
  }

  #move(from: Uint8Array[], to: ByteStreamHandlers | null): boolean {
    const message = this.#closed || to === null ? undefined : from.shift();
    if (message === undefined) return false;
    to!.data(message);
    return true;
  }

  #end(start: (handlers: ByteStreamHandlers) => void, queue: Uint8Array[]): ByteStream {
    return {
      queued: 0,
      start,
      write: (bytes) => {
        if (!this.#closed) queue.push(...messagesOf(bytes));
      },
      close: () => {
        if (this.#closed) return;
        this.#closed = true;
        queueMicrotask(() => {
          this.#toClient?.closed(null);
          this.#toServer?.closed(null);
        });
      },
    };
  }
}

function typeOf(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset).getUint32(0, true);
}

/** What was written at once, message by message. */
function messagesOf(bytes: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length;) {
    const end = at + HEADER_SIZE + view.getUint32(at + 12, true);
    messages.push(bytes.slice(at, end));
    at = end;
  }
  return messages;
}
