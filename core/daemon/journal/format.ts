/**
 * The journal's bytes. Pure.
 *
 * ```
 * file    = record*           the first record is the header
 * record  = length crc payload
 * length  = u32 little endian, bytes of the payload, at most 64 KiB
 * crc     = u32 little endian, CRC-32 of the payload
 * payload = MessagePack: { magic, version, domid, bootId } | { put: entry } | { drop: name }
 * ```
 */
import { Packr } from "msgpackr/pack";
import { type DeviceId, deviceName, DOMID_MAX, isKind } from "../../xen/device_id.ts";
import type { Stage } from "../../lifecycle/state.ts";
import type { Undo } from "../../../contract/v1/plugin.ts";
import { crc32 } from "./crc32.ts";
import type { JournalEntry } from "./entry.ts";

/** Version of the format; a reader takes no other. */
export const JOURNAL_VERSION = 1;

/** Largest payload, in bytes: a device's nodes are bounded far below it. */
export const PAYLOAD_MAX = 64 * 1024;

const MAGIC = "xdevd-journal";
const PREFIX = 8;

/** What a journal is about. */
export interface JournalHeader {
  /** The driver domain. */
  readonly domid: number;
  /** The start of the machine whose loop devices and processes it tells of. */
  readonly bootId: string;
}

/** What is wrong with a file's bytes. */
export type Damage =
  /** The last record is not complete: the writer was killed. */
  | "torn"
  /** A checksum, or what is below it, is wrong. */
  | "corrupt"
  /** It is no journal. */
  | "foreign"
  /** It is one of another version. */
  | "version";

/** What a file's bytes say. */
export interface Replay {
  readonly header: JournalHeader | null;
  /** By device name; what came before the damage, if there is any. */
  readonly entries: Map<string, JournalEntry>;
  readonly damage: Damage | null;
  /** Bytes before the damage. */
  readonly goodLength: number;
}

/** No records (structures) of msgpackr's own: any MessagePack reader can read it. */
const packr = new Packr({ useRecords: false, mapsAsObjects: true });

/** The first record. */
export function encodeHeader({ domid, bootId }: JournalHeader): Uint8Array {
  return encode({ magic: MAGIC, version: JOURNAL_VERSION, domid, bootId });
}

/**
 * The record that sets an entry.
 * @throws RangeError when the entry is too large; TypeError when it has a field that would not be
 * read again (a plugin's undo with a null, say): such a record would end what is trusted of the file
 */
export function encodePut(entry: JournalEntry): Uint8Array {
  const put = entryOf(entry);
  if (put === null) throw new TypeError("a field of the record has a value that cannot be kept");
  return encode({ put });
}

/** The record that removes an entry. */
export function encodeDrop(name: string): Uint8Array {
  return encode({ drop: name });
}

function encode(value: object): Uint8Array {
  const payload = packr.pack(value);
  if (payload.length > PAYLOAD_MAX) {
    throw new RangeError(`a record of ${payload.length} bytes; at most ${PAYLOAD_MAX} fit`);
  }
  const record = new Uint8Array(PREFIX + payload.length);
  const view = new DataView(record.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(4, crc32(payload), true);
  record.set(payload, PREFIX);
  return record;
}

/** Reads all that can be trusted; never throws. */
export function replay(bytes: Uint8Array): Replay {
  const entries = new Map<string, JournalEntry>();
  let header: JournalHeader | null = null;
  let offset = 0;
  const result = (damage: Damage | null): Replay => ({
    header,
    entries,
    damage,
    goodLength: offset,
  });
  while (offset < bytes.length) {
    const record = decode(bytes, offset);
    if (typeof record === "string") {
      return result(header === null && record === "corrupt" ? "foreign" : record);
    }
    const { value } = record;
    if (header === null) {
      if (value["magic"] !== MAGIC) return result("foreign");
      if (value["version"] !== JOURNAL_VERSION) return result("version");
      header = headerOf(value);
      if (header === null) return result("corrupt");
    } else if ("put" in value) {
      const entry = entryOf(value["put"]);
      if (entry === null) return result("corrupt");
      entries.set(deviceName(entry.id), entry);
    } else if (typeof value["drop"] === "string") {
      entries.delete(value["drop"]);
    } else return result("corrupt");
    offset = record.end;
  }
  return result(null);
}

type Fields = Readonly<Record<string, unknown>>;

function decode(
  bytes: Uint8Array,
  offset: number,
): { value: Fields; end: number } | "torn" | "corrupt" {
  if (bytes.length - offset < PREFIX) return "torn";
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
  const length = view.getUint32(0, true);
  if (length > PAYLOAD_MAX) return "corrupt";
  const crc = view.getUint32(4, true);
  const end = offset + PREFIX + length;
  if (end > bytes.length) {
    return hasPrefix(bytes.subarray(offset + PREFIX), crc) ? "corrupt" : "torn";
  }
  const payload = bytes.slice(offset + PREFIX, end);
  if (crc32(payload) !== crc) return "corrupt";
  try {
    const value = fieldsOf(packr.unpack(payload));
    return value === null ? "corrupt" : { value, end };
  } catch {
    return "corrupt";
  }
}

/**
 * Whether some bytes begin with a payload of this checksum. Then it is the length in front of them
 * that is damaged: a record that was cut off lacks the end of its payload.
 */
function hasPrefix(bytes: Uint8Array, crc: number): boolean {
  let sum = 0;
  return bytes.subarray(0, PAYLOAD_MAX).some((_, index) => {
    sum = crc32(bytes.subarray(index, index + 1), sum);
    return sum === crc;
  });
}

function fieldsOf(value: unknown): Fields | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Fields
    : null;
}

function headerOf({ domid, bootId }: Fields): JournalHeader | null {
  return isNumber(domid, DOMID_MAX) && typeof bootId === "string" ? { domid, bootId } : null;
}

const STAGES: ReadonlySet<unknown> = new Set<Stage>([
  "adding",
  "connected",
  "undoing",
  "failed",
  "removing",
  "removed",
]);

function entryOf(value: unknown): JournalEntry | null {
  const fields = fieldsOf(value);
  const id = idOf(fieldsOf(fields?.["id"]));
  const undo = undoOf(fieldsOf(fields?.["undo"]));
  const nodes = undoOf(fieldsOf(fields?.["nodes"]));
  if (fields === null || id === null || undo === null || nodes === null) return null;
  if (!isTexts(nodes)) return null;
  const { token, stage, operation, error } = fields;
  if (typeof token !== "string" || !STAGES.has(stage)) return null;
  if (!isTextOrNull(operation) || !isTextOrNull(error)) return null;
  return { id, token, stage: stage as Stage, operation, error, undo, nodes };
}

function idOf(fields: Fields | null): DeviceId | null {
  if (fields === null) return null;
  const { backendDomid, kind, frontendDomid, devid } = fields;
  if (!isNumber(backendDomid, DOMID_MAX) || !isNumber(frontendDomid, DOMID_MAX)) return null;
  if (!isNumber(devid, 0xffffffff) || typeof kind !== "string" || !isKind(kind)) return null;
  return { backendDomid, kind, frontendDomid, devid };
}

function undoOf(fields: Fields | null): Undo | null {
  if (fields === null) return null;
  const entries = Object.entries(fields);
  const plain = entries.every(([, value]) =>
    ["string", "number", "boolean"].includes(typeof value)
  );
  return plain ? Object.fromEntries(entries) as Undo : null;
}

function isNumber(value: unknown, max: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max;
}

function isTexts(values: Undo): values is Readonly<Record<string, string>> {
  return Object.values(values).every((value) => typeof value === "string");
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}
