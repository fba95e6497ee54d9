/** Entries and records for the journal's tests. */
import { crc32 } from "../../../../core/daemon/journal/crc32.ts";
import type { JournalEntry } from "../../../../core/daemon/journal/entry.ts";
import { NOTHING_HELD } from "../../../../core/daemon/journal/held.ts";

export const HEADER = { domid: 1, bootId: "11111111-2222" };

/** A device's entry; two of the same `devid` are of one device. */
export function entry(devid: number, more: Partial<JournalEntry> = {}): JournalEntry {
  return {
    id: { backendDomid: 1, kind: "vbd", frontendDomid: 2, devid },
    attachId: `attach-${devid}`,
    stage: "connected",
    operation: null,
    error: null,
    waitsFor: null,
    held: NOTHING_HELD,
    nodes: { params: "/images/disk" },
    undo: { loop: `/dev/loop${devid}`, shared: false, pid: 4711 },
    ...more,
  };
}

/** A record of any payload, with the length and checksum that it needs to be looked at. */
export function framed(payload: Uint8Array): Uint8Array {
  const record = new Uint8Array(8 + payload.length);
  const view = new DataView(record.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(4, crc32(payload), true);
  record.set(payload, 8);
  return record;
}

export function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}
