/** A connection that shows every byte: what was sent, what came, and in which order. */
import { connectStream } from "../../platform/io/stream.ts";
import type { ByteStream } from "../../platform/types.ts";
import { encodeMessage, type Message, MessageParser, toBytes } from "../../core/xenstore/codec.ts";
import { Op, opName } from "../../core/xenstore/operations.ts";

/** Longest wait for a message, in ms. */
const PATIENCE_MS = 5_000;

/** What an answer looks like in a test: `OK`, a value, or `!ENOENT` for a refusal. */
export type Answer = string;

/** Reads and writes messages as they are. */
export class RawConnection {
  readonly #stream: ByteStream;
  readonly #parser = new MessageParser(65536);
  readonly #arrived: Message[] = [];
  #wake: () => void = () => {};
  #lastId = 0;
  /** Whether the server has closed the connection. */
  closed = false;
  /** Everything that came, in order: `event PATH TOKEN`, or `OP ANSWER`. */
  readonly order: string[] = [];

  private constructor(stream: ByteStream) {
    this.#stream = stream;
    stream.start({
      data: (chunk) => {
        for (const message of this.#parser.push(chunk)) {
          this.#arrived.push(message);
          this.order.push(describe(message));
        }
        this.#wake();
      },
      closed: () => {
        this.closed = true;
        this.#wake();
      },
    });
  }

  static async open(path: string): Promise<RawConnection> {
    for (let attempt = 0;; attempt++) {
      try {
        return new RawConnection(await connectStream(path));
      } catch (error) {
        // The real server listens with a backlog of 1.
        if (attempt > 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  /** Over a stream that is connected already. */
  static over(stream: ByteStream): RawConnection {
    return new RawConnection(stream);
  }

  /** Sends bytes as they are. */
  sendRaw(bytes: Uint8Array): void {
    this.#stream.write(bytes);
  }

  /** Sends a request without waiting. */
  send(op: number, payload: string | Uint8Array, txId = 0, reqId = ++this.#lastId): number {
    this.sendRaw(encodeMessage({ type: op, reqId, txId, payload: toBytes(payload) }));
    return reqId;
  }

  /** The next message, be it a reply or an event. @throws Error when none comes */
  async next(): Promise<Message> {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const message = this.#arrived.shift();
      if (message !== undefined) return message;
      if (this.closed) throw new Error("the server closed the connection");
      const left = end - performance.now();
      if (left <= 0) throw new Error(`nothing came; so far: ${this.order.slice(-5).join(" | ")}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Sends a request and returns its reply whole; events that come before it are passed over. */
  async exchange(op: number, payload: string | Uint8Array, txId = 0): Promise<Message> {
    const reqId = this.send(op, payload, txId);
    for (;;) {
      const message = await this.next();
      if (message.type !== Op.WATCH_EVENT && message.reqId === reqId) return message;
    }
  }

  /** As {@link exchange}, in short form. */
  async ask(op: number, payload: string | Uint8Array, txId = 0): Promise<Answer> {
    return answerOf(await this.exchange(op, payload, txId));
  }

  /** Starts a transaction and returns its id. */
  async begin(): Promise<number> {
    return Number(await this.ask(Op.TRANSACTION_START, "\0"));
  }

  /** Ends a transaction. */
  commit(txId: number): Promise<Answer> {
    return this.ask(Op.TRANSACTION_END, "T\0", txId);
  }

  /**
   * Events since the last call, as `PATH TOKEN`. A request in between makes sure that all are here
   * that were caused before; identical ones in a row count once, as a server may merge them.
   */
  async events(): Promise<string[]> {
    return (await this.allEvents()).filter((line, at, all) => line !== all[at - 1]);
  }

  /** As {@link events}, with those that are equal. */
  async allEvents(): Promise<string[]> {
    await this.ask(Op.READ, "/\0");
    const events = this.order.splice(0).filter((line) => line.startsWith("event "));
    return events.map((line) => line.slice(6));
  }

  /** Resolves when the server has closed the connection. @throws Error when it does not */
  async untilClosed(): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!this.closed) {
      if (performance.now() > end) throw new Error("the connection stays open");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  close(): void {
    this.#stream.close();
  }
}

function describe(message: Message): string {
  if (message.type !== Op.WATCH_EVENT) return `${opName(message.type)} ${answerOf(message)}`;
  const [path, token] = text(message.payload).split("\0");
  return `event ${path} ${token}`;
}

/** A payload in short form: a terminating NUL is dropped, others show as `|`. */
export function answerOf(message: Message): Answer {
  const shown = text(message.payload).replace(/\0$/, "").replaceAll("\0", "|");
  return message.type === Op.ERROR ? `!${shown}` : shown;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
