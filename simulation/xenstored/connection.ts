/** One connection to the server: framing, the domain it acts for, its watches and transactions. */
import type { ByteStream } from "../../platform/types.ts";
import { concat, encodeMessage, type Message, MessageParser } from "../../core/xenstore/codec.ts";
import { nulTerminated } from "../../core/xenstore/codec.ts";
import { Op, PAYLOAD_MAX } from "../../core/xenstore/operations.ts";
import type { Caller } from "./rights.ts";
import type { ServerTransaction } from "./transaction.ts";
import { type ServerWatch, Watches } from "./watches.ts";

/**
 * Bytes that may wait for a peer that does not read, before it is cut off: one slow reader must
 * cost the others nothing.
 */
export const BACKLOG_MAX = 4 * 1024 * 1024;

/** A connection, which acts for one domain. */
export class ServerConnection implements Caller {
  readonly domid: number;
  readonly privileged: boolean;
  target: number | null = null;
  readonly watches: Watches = new Watches();
  readonly transactions = new Map<number, ServerTransaction>();
  lastTransaction = 0;
  readonly #stream: ByteStream;
  readonly #coalesce: boolean;
  readonly #parser = new MessageParser(PAYLOAD_MAX);
  /** Requests that wait for one before them. */
  readonly #requests: Message[] = [];
  #held = false;
  #backlog: Uint8Array[] = [];
  /** Waiting events, by path and token; equal ones are sent once. */
  readonly #waitingEvents = new Set<string>();
  #backlogBytes = 0;
  #flushing = false;
  #closed = false;

  /** @param coalesce whether an event equal to one that still waits is dropped */
  constructor(stream: ByteStream, domid: number, coalesce: boolean) {
    this.#stream = stream;
    this.domid = domid;
    this.privileged = domid === 0;
    this.#coalesce = coalesce;
  }

  /**
   * Begins to read.
   * @param handle answers a request, now or before its promise is resolved, which never rejects
   * @param gone called once, when the connection has ended for whatever reason
   */
  start(handle: (message: Message) => void | Promise<void>, gone: () => void): void {
    const handleAll = () => {
      while (!this.#closed && !this.#held) {
        const message = this.#requests.shift();
        if (message === undefined) return;
        const done = handle(message);
        if (done === undefined) continue;
        this.#held = true;
        done.finally(() => {
          this.#held = false;
          handleAll();
        });
      }
    };
    this.#stream.start({
      data: (chunk) => {
        if (this.#closed) return;
        let messages: Message[];
        try {
          messages = this.#parser.push(chunk);
        } catch {
          // Framing is lost: this connection is over, nothing else is.
          this.close();
          return;
        }
        this.#requests.push(...messages);
        handleAll();
      },
      closed: () => {
        this.#closed = true;
        gone();
      },
      drained: () => this.#flush(),
    });
  }

  /** Answers a request. */
  reply(request: Message, payload: Uint8Array): void {
    const { type, reqId, txId } = request;
    this.#send(encodeMessage({ type, reqId, txId, payload }));
  }

  refuse(request: Message, code: string): void {
    const { reqId, txId } = request;
    this.#send(encodeMessage({ type: Op.ERROR, reqId, txId, payload: nulTerminated(code) }));
  }

  /**
   * Sends a watch event, unless an equal one waits or it would be too long. All that one request
   * causes waits until it has been done, so equal events of one change are one event. Those of
   * special nodes count each.
   */
  event(path: string, watch: ServerWatch): void {
    const payload = nulTerminated(path.slice(watch.relative), watch.token);
    if (payload.length > PAYLOAD_MAX) return;
    const message = encodeMessage({ type: Op.WATCH_EVENT, reqId: 0, txId: 0, payload });
    if (this.#coalesce && !path.startsWith("@")) {
      const key = String.fromCharCode(...payload);
      if (this.#waitingEvents.has(key)) return;
      this.#waitingEvents.add(key);
    }
    this.#send(message);
  }

  close(): void {
    if (this.#closed) return;
    if (this.#stream.queued === 0) this.#flush();
    this.#closed = true;
    this.#stream.close();
  }

  #send(message: Uint8Array): void {
    if (this.#closed) return;
    this.#backlog.push(message);
    this.#backlogBytes += message.length;
    if (this.#stream.queued === 0) this.#flushSoon();
    else if (this.#backlogBytes > BACKLOG_MAX) this.close();
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (!this.#closed) this.#flush();
    });
  }

  #flush(): void {
    if (this.#backlog.length === 0) return;
    const messages = this.#backlog;
    this.#backlog = [];
    this.#backlogBytes = 0;
    this.#waitingEvents.clear();
    this.#stream.write(messages.length === 1 ? messages[0]! : concat(messages));
  }
}
