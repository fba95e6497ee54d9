/**
 * Netlink messages as bytes (linux/netlink.h): headers, and attributes behind fixed structures.
 * Numbers are in the order of the machine, which is little-endian wherever Xen runs. Pure.
 */

/** Length of a message's header (struct nlmsghdr). */
export const HEADER_SIZE = 16;

/** A message without its header's length and sequence number. */
export interface NetlinkMessage {
  /** One of RTM_…, or below 16 one of netlink's own. */
  readonly type: number;
  /** NLM_F_… */
  readonly flags: number;
  /** Structure and attributes. */
  readonly payload: Uint8Array;
}

/** An attribute to be sent: its number, and bytes, a number of 32 bits, or a text. */
export type Attribute = readonly [type: number, value: Uint8Array | number | string];

/** Attributes received, by number. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/** Set in the number of attributes that have a structure (NLA_F_NESTED, NLA_F_NET_BYTEORDER). */
const TYPE_FLAGS = 0xc000;

const align = (length: number) => (length + 3) & ~3;

/** A structure and its attributes, put together. */
export function encodePayload(
  structure: Uint8Array,
  attributes: readonly Attribute[],
): Uint8Array<ArrayBuffer> {
  const encoded = attributes.map(([type, value]) => [type, bytesOf(value)] as const);
  const length = encoded.reduce(
    (sum, [, bytes]) => sum + 4 + align(bytes.length),
    align(structure.length),
  );
  const payload = new Uint8Array(length);
  const view = new DataView(payload.buffer);
  payload.set(structure);
  let at = align(structure.length);
  for (const [type, bytes] of encoded) {
    view.setUint16(at, 4 + bytes.length, true);
    view.setUint16(at + 2, type, true);
    payload.set(bytes, at + 4);
    at += 4 + align(bytes.length);
  }
  return payload;
}

function bytesOf(value: Uint8Array | number | string): Uint8Array {
  if (typeof value === "string") return new TextEncoder().encode(`${value}\0`);
  if (typeof value !== "number") return value;
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** A message with its header. */
export function encodeMessage(message: NetlinkMessage, sequence: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + message.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, message.type, true);
  view.setUint16(6, message.flags, true);
  view.setUint32(8, sequence, true);
  bytes.set(message.payload, HEADER_SIZE);
  return bytes;
}

/** The messages in what was received at once that answer this sequence number. */
export function decodeMessages(bytes: Uint8Array, sequence: number): NetlinkMessage[] {
  const view = viewOf(bytes);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at + HEADER_SIZE <= bytes.length;) {
    const length = view.getUint32(at, true);
    if (length < HEADER_SIZE || at + length > bytes.length) break;
    if (view.getUint32(at + 8, true) === sequence) {
      messages.push({
        type: view.getUint16(at + 4, true),
        flags: view.getUint16(at + 6, true),
        payload: bytes.slice(at + HEADER_SIZE, at + length),
      });
    }
    at += align(length);
  }
  return messages;
}

/** The attributes behind a structure of `start` bytes. What is cut off is left out. */
export function decodeAttributes(payload: Uint8Array, start: number): Attributes {
  const view = viewOf(payload);
  const attributes = new Map<number, Uint8Array>();
  for (let at = align(start); at + 4 <= payload.length;) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > payload.length) break;
    attributes.set(view.getUint16(at + 2, true) & ~TYPE_FLAGS, payload.slice(at + 4, at + length));
    at += align(length);
  }
  return attributes;
}

/** An attribute's number; undefined if there is none, or not one of 32 bits. */
export function numberOf(attributes: Attributes, type: number): number | undefined {
  const bytes = attributes.get(type);
  return bytes?.length === 4 ? viewOf(bytes).getUint32(0, true) : undefined;
}

/** An attribute's text; undefined if there is none. */
export function textOf(attributes: Attributes, type: number): string | undefined {
  const bytes = attributes.get(type);
  return bytes && new TextDecoder().decode(bytes).replace(/\0.*$/s, "");
}

/** A view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
