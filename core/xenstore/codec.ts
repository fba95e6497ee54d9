/**
 * The xenstore wire format: a 16-byte header of four little-endian 32-bit numbers (type, request
 * id, transaction id, payload length), then the payload. Pure: no I/O.
 */
import { ProtocolError } from "./errors.ts";
import { HEADER_SIZE } from "./operations.ts";

/** One request, reply or event. */
export interface Message {
  /** See `Op`. */
  readonly type: number;
  /** 0 … 2³²-1, chosen by the client and echoed by the server. */
  readonly reqId: number;
  /** 0, or a transaction of this connection. */
  readonly txId: number;
  readonly payload: Uint8Array;
}

/** What may stand in a payload: text is encoded as UTF-8. */
export type Part = string | Uint8Array;

const utf8 = new TextEncoder();
// A byte order mark is part of the value like anything else.
const utf8Decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Encodes text as the bytes that go into a payload. */
export function toBytes(part: Part): Uint8Array {
  return typeof part === "string" ? utf8.encode(part) : part;
}

/** Decodes bytes for people; bytes that are no UTF-8 become U+FFFD. */
export function toText(bytes: Uint8Array): string {
  return utf8Decoder.decode(bytes);
}

/** Writes a message's header and payload into one new buffer. */
export function encodeMessage(message: Message): Uint8Array {
  const { payload } = message;
  const bytes = new Uint8Array(HEADER_SIZE + payload.length);
  putNumber(bytes, 0, message.type);
  putNumber(bytes, 4, message.reqId);
  putNumber(bytes, 8, message.txId);
  putNumber(bytes, 12, payload.length);
  bytes.set(payload, HEADER_SIZE);
  return bytes;
}

/** 32 bits, little-endian; a DataView would cost more than all the rest. */
function putNumber(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

function numberAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24) >>> 0;
}

/** Joins parts, each followed by a NUL byte: the payload of most requests. */
export function nulTerminated(...parts: readonly Part[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && typeof first === "string") return utf8.encode(`${first}\0`);
  if (parts.length > 0 && parts.every((part) => typeof part === "string")) {
    return utf8.encode(`${parts.join("\0")}\0`);
  }
  return concat(parts.flatMap((part) => [toBytes(part), NUL]));
}

/** Joins parts with nothing in between. */
export function concat(parts: readonly Part[]): Uint8Array {
  const all = parts.map(toBytes);
  const bytes = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of all) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const NUL = new Uint8Array(1);

/**
 * Cuts a payload at its NUL bytes. A terminating NUL ends the last string; bytes behind the last
 * NUL form a string of their own. The strings are views into the payload.
 */
export function splitNul(payload: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let from = 0;
  while (from < payload.length) {
    const nul = payload.indexOf(0, from);
    const to = nul < 0 ? payload.length : nul;
    parts.push(payload.subarray(from, to));
    from = to + 1;
  }
  return parts;
}

/** As {@link splitNul}, decoded. */
export function splitText(payload: Uint8Array): string[] {
  if (payload.length === 0) return [];
  // A NUL is no part of any other character: to decode all at once is the same, and takes less.
  const parts = toText(payload).split("\0");
  if (payload.at(-1) === 0) parts.pop();
  return parts;
}

/**
 * Reassembles messages from a byte stream, however it is fragmented.
 *
 * A message that lies whole within one chunk is handed out as a view of that chunk, so chunks must
 * not be reused by whoever reads them.
 */
export class MessageParser {
  readonly #maxPayload: number;
  #pending: Uint8Array[] = [];
  #pendingLength = 0;
  /** Bytes that are needed before the next step can be taken. */
  #needed = HEADER_SIZE;

  /** @param maxPayload longest payload accepted, in bytes */
  constructor(maxPayload: number) {
    this.#maxPayload = maxPayload;
  }

  /** Bytes of an incomplete message held back. */
  get buffered(): number {
    return this.#pendingLength;
  }

  /**
   * Takes a chunk and returns the messages it completed.
   * @throws ProtocolError when a header announces a payload longer than `maxPayload`. The messages
   *   before it are lost with it: framing is gone, so the connection is of no more use.
   */
  push(chunk: Uint8Array): Message[] {
    const messages: Message[] = [];
    const bytes = this.#take(chunk);
    let at = 0;
    if (bytes === null) return messages;
    while (bytes.length - at >= HEADER_SIZE) {
      const length = numberAt(bytes, at + 12);
      if (length > this.#maxPayload) {
        throw new ProtocolError(
          `message of type ${numberAt(bytes, at)} announces ${length} bytes of payload; ` +
            `at most ${this.#maxPayload} are allowed`,
        );
      }
      const end = at + HEADER_SIZE + length;
      if (bytes.length < end) {
        this.#needed = HEADER_SIZE + length;
        break;
      }
      messages.push({
        type: numberAt(bytes, at),
        reqId: numberAt(bytes, at + 4),
        txId: numberAt(bytes, at + 8),
        payload: bytes.subarray(at + HEADER_SIZE, end),
      });
      at = end;
      this.#needed = HEADER_SIZE;
    }
    if (at < bytes.length) {
      this.#pending = [bytes.subarray(at)];
      this.#pendingLength = bytes.length - at;
    }
    return messages;
  }

  /** All bytes at hand, or null while they cannot complete a step: so a message is joined once. */
  #take(chunk: Uint8Array): Uint8Array | null {
    if (this.#pendingLength === 0) return chunk;
    this.#pending.push(chunk);
    this.#pendingLength += chunk.length;
    if (this.#pendingLength < this.#needed) return null;
    const bytes = concat(this.#pending);
    this.#pending = [];
    this.#pendingLength = 0;
    return bytes;
  }
}
