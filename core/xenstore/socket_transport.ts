/** Messages over a byte stream: a unix socket, or a pipe in a test. */
import type { ByteStream } from "../../platform/types.ts";
import { PAYLOAD_MAX } from "./operations.ts";
import type { Transport, TransportSink } from "./transport.ts";

/**
 * Bytes that may wait in the stream before more are held back here. The C daemon blocks for a
 * payload whose header it has seen, so a message must never be cut by a full socket buffer
 * (about 200 KB by default): stay well below.
 */
const STREAM_LIMIT = 64 * 1024;

/** Messages sent in one turn of the event loop go out in one write, never cut at a bad place. */
export class SocketTransport implements Transport {
  readonly name: string;
  readonly maxPayload: number = PAYLOAD_MAX;
  readonly ordered = true;
  readonly window: number = Infinity;
  readonly reconnects = true;
  readonly #stream: ByteStream;
  #waiting: Uint8Array[] = [];
  #scheduled = false;

  /** @param name for people: the socket's path */
  constructor(stream: ByteStream, name: string) {
    this.#stream = stream;
    this.name = name;
  }

  start(sink: TransportSink): void {
    this.#stream.start({
      data: (chunk) => sink.data(chunk),
      closed: (error) => sink.closed(error),
      drained: () => this.#flush(),
    });
  }

  send(message: Uint8Array): void {
    this.#waiting.push(message);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  gather(): void {
    this.#stream.gather?.();
  }

  close(): void {
    this.#flush();
    this.#stream.close();
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#stream.queued === 0) {
      let bytes = 0;
      let count = 0;
      for (const message of this.#waiting) {
        if (count > 0 && bytes + message.length > STREAM_LIMIT) break;
        bytes += message.length;
        count++;
      }
      const batch = this.#waiting.splice(0, count);
      this.#stream.write(batch.length === 1 ? batch[0]! : join(batch, bytes));
    }
  }
}

function join(messages: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const message of messages) {
    bytes.set(message, at);
    at += message.length;
  }
  return bytes;
}
