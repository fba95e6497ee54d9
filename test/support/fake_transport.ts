/** A transport whose other end is the test. */
import {
  encodeMessage,
  type Message,
  MessageParser,
  nulTerminated,
  toBytes,
} from "../../core/xenstore/codec.ts";
import { Op } from "../../core/xenstore/operations.ts";
import type { Transport, TransportSink } from "../../core/xenstore/transport.ts";

/** Collects what is sent, and delivers what the test says. */
export class FakeTransport implements Transport {
  readonly name = "fake";
  readonly maxPayload: number = 4096;
  readonly ordered = true;
  readonly window: number = Infinity;
  readonly reconnects: boolean = true;
  readonly sent: Message[] = [];
  closed = false;
  /** How often replies were to gather. */
  gatherings = 0;
  #sink: TransportSink | null = null;

  start(sink: TransportSink): void {
    this.#sink = sink;
  }

  send(message: Uint8Array): void {
    this.sent.push(...new MessageParser(8192).push(message));
  }

  gather(): void {
    this.gatherings++;
  }

  close(): void {
    this.closed = true;
  }

  /** Whether the client says that an answer is still to come. */
  get isAwaited(): boolean | undefined {
    return this.#sink?.awaits?.();
  }

  /** What was sent and not looked at yet. */
  take(): Message[] {
    return this.sent.splice(0);
  }

  /** Sends bytes to the client. */
  deliver(bytes: Uint8Array): void {
    this.#sink?.data(bytes);
  }

  /** Answers a request. */
  reply(request: Message, payload: string | Uint8Array): void {
    const { type, reqId, txId } = request;
    this.deliver(encodeMessage({ type, reqId, txId, payload: toBytes(payload) }));
  }

  /** Refuses a request. */
  refuse(request: Message, code: string): void {
    const { reqId, txId } = request;
    const payload = nulTerminated(code);
    this.deliver(encodeMessage({ type: Op.ERROR, reqId, txId, payload }));
  }

  /** Fires a watch; ids are rubbish, as on the device. */
  event(path: string, token: string): void {
    const payload = nulTerminated(path, token);
    this.deliver(
      encodeMessage({ type: Op.WATCH_EVENT, reqId: 0xdeadbeef, txId: 0xfeedface, payload }),
    );
  }

  /** The store goes away. */
  lose(error: Error | null = null): void {
    this.#sink?.closed(error);
  }
}
