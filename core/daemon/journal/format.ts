/**
 * The journal's bytes. Pure.
 *
 * ```
 * file    = record*           the first record is the header
 * record  = length crc payload
 * length  = u32 little endian, bytes of the payload, at most 64 KiB
 * crc     = u32 little endian, CRC-32 of the payload
 * payload = MessagePack: { magic, version, domid, bootId } | { put: entry } | { drop: name }
 *
 * Header and framing are those of all versions; what an entry has depends on the header's version.
 * ```
 */
import { pack, unpack } from "../../message_pack.ts";
import { deviceName, DOMID_MAX } from "../../xen/device_id.ts";
import { crc32 } from "./crc32.ts";
import type { JournalEntry } from "./entry.ts";
import { entryOfVersion1 } from "./entry_version_1.ts";
import {
  type Fields,
  fieldsOf,
  idOf,
  isNumber,
  isStage,
  isTextOrNull,
  textsOf,
  undoOf,
} from "./fields.ts";
import type { Held, V2Progress } from "./held.ts";

/** Version of the format that is written. */
export const JOURNAL_VERSION = 2;

/** The oldest version that is read, too. */
export const OLDEST_VERSION = 1;

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
  /** It is one of a version that nobody has ever written. */
  | "version"
  /** It is of a later version: whoever wrote it knows more than we do. */
  | "newer";

/** What a file's bytes say. */
export interface Replay {
  readonly header: JournalHeader | null;
  /** That the header names; null without one. */
  readonly version: number | null;
  /** By device name; what came before the damage, if there is any. */
  readonly entries: Map<string, JournalEntry>;
  readonly damage: Damage | null;
  /** Bytes before the damage. */
  readonly goodLength: number;
}

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
  const payload = pack(value);
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
  let version: number | null = null;
  let offset = 0;
  const result = (damage: Damage | null): Replay => ({
    header,
    version,
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
      if (!isNumber(value["version"], Number.MAX_SAFE_INTEGER)) return result("version");
      version = value["version"];
      if (version > JOURNAL_VERSION) return result("newer");
      if (version < OLDEST_VERSION) return result("version");
      header = headerOf(value);
      if (header === null) return result("corrupt");
    } else if ("put" in value) {
      const entry = READERS[version!]!(value["put"]);
      if (entry === null) return result("corrupt");
      entries.set(deviceName(entry.id), entry);
    } else if (typeof value["drop"] === "string") {
      entries.delete(value["drop"]);
    } else return result("corrupt");
    offset = record.end;
  }
  return result(null);
}

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
    const value = fieldsOf(unpack(payload));
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

function headerOf({ domid, bootId }: Fields): JournalHeader | null {
  return isNumber(domid, DOMID_MAX) && typeof bootId === "string" ? { domid, bootId } : null;
}

/** What the records of each version say that is read. */
const READERS: Readonly<Record<number, (value: unknown) => JournalEntry | null>> = {
  1: entryOfVersion1,
  [JOURNAL_VERSION]: entryOf,
};

function entryOf(value: unknown): JournalEntry | null {
  const fields = fieldsOf(value);
  const id = idOf(fields?.["id"]);
  const undo = undoOf(fields?.["undo"]);
  const held = heldOf(fields?.["held"]);
  const nodes = textsOf(fields?.["nodes"]);
  if (fields === null || id === null || undo === null || held === null || nodes === null) {
    return null;
  }
  const { attachId, stage, since, operation, error, waitsFor } = fields;
  if (!isStage(stage)) return null;
  if (!isTextOrNull(attachId) || !isTextOrNull(operation) || !isTextOrNull(error)) return null;
  if (waitsFor !== null && !isTexts(waitsFor)) return null;
  const entry = { id, attachId, stage, operation, error, waitsFor, undo, held, nodes };
  if (since === undefined) return entry;
  return isNumber(since, Number.MAX_SAFE_INTEGER) ? { ...entry, since } : null;
}

const SCRIPTS: ReadonlySet<unknown> = new Set<Held["script"]>(["none", "begun", null]);
const PROGRESSES: ReadonlySet<unknown> = new Set<V2Progress>([
  "asked",
  "preparing",
  "adding",
  "done",
  "no",
]);

function heldOf(value: unknown): Held | null {
  const fields = fieldsOf(value);
  const processes = textsOf(fields?.["processes"]);
  if (fields === null || processes === null) return null;
  const { hotplugDirectory, deviceModel, script, version2 } = fields;
  if (typeof hotplugDirectory !== "boolean" || !SCRIPTS.has(script)) return null;
  const model = fieldsOf(deviceModel);
  if (deviceModel !== null) {
    if (typeof model?.["mark"] !== "string" || !isTextOrNull(model["identity"])) return null;
  }
  const v2 = fieldsOf(version2);
  if (version2 !== null) {
    if (!PROGRESSES.has(v2?.["progress"]) || typeof v2?.["target"] !== "string") return null;
  }
  return {
    processes,
    hotplugDirectory,
    deviceModel: model === null
      ? null
      : { mark: model["mark"] as string, identity: model["identity"] as string | null },
    script: script as Held["script"],
    version2: v2 === null
      ? null
      : { progress: v2["progress"] as V2Progress, target: v2["target"] as string },
  };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
