/** Frames of the process protocol: length and MessagePack (docs/plugin-protocol.md). Pure. */
import { Packr } from "msgpackr/pack";

/** Longest frame, in bytes, without the four bytes of its length; in both directions. */
export const FRAME_MAX = 1024 * 1024;

/** Bytes in front of each frame: its length, the most significant byte first. */
const HEAD = 4;

/** Deepest nesting of maps and arrays that is accepted. */
const DEPTH_MAX = 16;

/** The plugin does not keep to the protocol; the message says how, for one line of log. */
export class ProtocolFault extends Error {
  override name = "ProtocolFault";
}

/** A message: a map with texts as its keys. */
export type Message = Readonly<Record<string, unknown>>;

/** None of msgpackr's extensions: any MessagePack library can read it. */
const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  encodeUndefinedAsNil: true,
  int64AsType: "number",
});

/** A message as bytes. @throws ProtocolFault when it is too long */
export function encodeFrame(message: Message): Uint8Array {
  const body = packr.pack(message);
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
    this.#chunks.push(chunk);
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

  #take(count: number): Uint8Array {
    if (this.#chunks.length > 1) {
      const all = new Uint8Array(this.#length);
      let at = 0;
      for (const chunk of this.#chunks) {
        all.set(chunk, at);
        at += chunk.length;
      }
      this.#chunks = [all];
    }
    const [all] = this.#chunks as [Uint8Array];
    this.#chunks = all.length > count ? [all.subarray(count)] : [];
    this.#length -= count;
    return all.subarray(0, count);
  }
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
  checkSyntax(body);
  let value: unknown;
  try {
    value = packr.unpack(body);
  } catch (error) {
    throw new ProtocolFault(`a frame that is not MessagePack: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolFault("a frame that is no map");
  }
  return value as Message;
}

/**
 * Walks over the types of one value before anything is made of it: what claims more than there is,
 * nests too deep, or is an extension is refused at no cost (github.com/msgpack/msgpack, spec.md).
 */
function checkSyntax(body: Uint8Array): void {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = 0;
  const fault = (what: string): never => {
    throw new ProtocolFault(`a frame that is not MessagePack: ${what}`);
  };
  const skip = (count: number) => {
    at += count;
    if (at > body.length) fault("it ends too early");
  };
  const size = (width: 1 | 2 | 4): number => {
    const from = at;
    skip(width);
    return width === 1
      ? view.getUint8(from)
      : width === 2
      ? view.getUint16(from)
      : view.getUint32(from);
  };
  const many = (count: number, depth: number) => {
    if (count > body.length - at) fault("it ends too early");
    if (depth >= DEPTH_MAX) fault(`nested deeper than ${DEPTH_MAX}`);
    for (let index = 0; index < count; index++) walk(depth + 1);
  };
  const walk = (depth: number): void => {
    const type = size(1);
    if (type <= 0x7f || type >= 0xe0 || type === 0xc0 || type === 0xc2 || type === 0xc3) return;
    if (type <= 0x8f) return many(2 * (type & 0x0f), depth);
    if (type <= 0x9f) return many(type & 0x0f, depth);
    if (type <= 0xbf) return skip(type & 0x1f);
    switch (type) {
      case 0xc4:
      case 0xd9:
        return skip(size(1));
      case 0xc5:
      case 0xda:
        return skip(size(2));
      case 0xc6:
      case 0xdb:
        return skip(size(4));
      case 0xca:
      case 0xce:
      case 0xd2:
        return skip(4);
      case 0xcb:
      case 0xcf:
      case 0xd3:
        return skip(8);
      case 0xcc:
      case 0xd0:
        return skip(1);
      case 0xcd:
      case 0xd1:
        return skip(2);
      case 0xdc:
        return many(size(2), depth);
      case 0xdd:
        return many(size(4), depth);
      case 0xde:
        return many(2 * size(2), depth);
      case 0xdf:
        return many(2 * size(4), depth);
    }
    fault(`type ${type.toString(16)} (extensions are not accepted)`);
  };
  walk(0);
  if (at !== body.length) fault("there is something behind it");
}
