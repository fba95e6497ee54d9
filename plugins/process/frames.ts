/** Frames of the process protocol: length and MessagePack (docs/plugin-protocol.md). Pure. */
import { MessagePackFault, pack, unpack } from "../../core/message_pack.ts";

/** Longest frame, in bytes, without the four bytes of its length; in both directions. */
export const FRAME_MAX = 1024 * 1024;

/** Bytes in front of each frame: its length, the most significant byte first. */
const HEAD = 4;

/** Most values in one frame, keys among them: what is made of them costs many times their bytes. */
export const VALUES_MAX = 32 * 1024;

/** The plugin does not keep to the protocol; the message says how, for one line of log. */
export class ProtocolFault extends Error {
  override name = "ProtocolFault";
}

/** A message: a map with texts as its keys. */
export type Message = Readonly<Record<string, unknown>>;

/** A message as bytes. @throws ProtocolFault when it is too long */
export function encodeFrame(message: Message): Uint8Array {
  const body = pack(message);
  if (body.length > FRAME_MAX) {
    throw new ProtocolFault(`a message of ${body.length} bytes; at most ${FRAME_MAX}`);
  }
  const frame = new Uint8Array(HEAD + body.length);
  new DataView(frame.buffer).setUint32(0, body.length);
  frame.set(body, HEAD);
  return frame;
}

/** Cuts a stream of bytes into messages. */
export class FrameParser {
  #chunks: Uint8Array[] = [];
  #length = 0;
  /** Length of the frame that is under way; null when its head is not complete. */
  #wanted: number | null = null;

  /**
   * Takes the next bytes and returns the messages that are complete.
   * @throws ProtocolFault when they cannot be the protocol's; the parser is of no use then
   */
  push(chunk: Uint8Array): Message[] {
    this.#keep(chunk);
    this.#length += chunk.length;
    const messages: Message[] = [];
    for (;;) {
      if (this.#wanted === null) {
        if (this.#length < HEAD) return messages;
        this.#wanted = lengthOf(this.#take(HEAD));
      }
      if (this.#length < this.#wanted) return messages;
      const body = this.#take(this.#wanted);
      this.#wanted = null;
      messages.push(decode(body));
    }
  }

  /** Bytes of a frame that is not complete. */
  get pending(): number {
    return this.#length;
  }

  /** Each chunk is longer than the next: they are few, however small they come, and each byte is moved seldom. */
  #keep(chunk: Uint8Array): void {
    let end = chunk;
    for (let last; (last = this.#chunks.at(-1)) !== undefined && last.length <= end.length;) {
      this.#chunks.pop();
      end = joined([last, end]);
    }
    this.#chunks.push(end);
  }

  #take(count: number): Uint8Array {
    if (this.#chunks.length > 1) this.#chunks = [joined(this.#chunks)];
    const [all] = this.#chunks as [Uint8Array];
    this.#chunks = all.length > count ? [all.subarray(count)] : [];
    this.#length -= count;
    return all.subarray(0, count);
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function lengthOf(head: Uint8Array): number {
  const length = new DataView(head.buffer, head.byteOffset).getUint32(0);
  if (length > FRAME_MAX || length === 0) {
    const text = String.fromCharCode(...head);
    const hint = /^[\x20-\x7e\n\t]+$/.test(text) ? " (text in place of a frame?)" : "";
    throw new ProtocolFault(`a frame of ${length} bytes${hint}; expected 1 to ${FRAME_MAX}`);
  }
  return length;
}

function decode(body: Uint8Array): Message {
  let value: unknown;
  try {
    value = unpack(body, VALUES_MAX);
  } catch (error) {
    if (!(error instanceof MessagePackFault)) throw error;
    throw new ProtocolFault(`a frame that is not MessagePack: ${error.message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolFault("a frame that is no map");
  }
  return value as Message;
}
