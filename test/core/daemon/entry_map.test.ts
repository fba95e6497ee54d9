/** The index of undo records finds what a walk over all records finds. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import type { JournalEntry } from "../../../core/daemon/journal/entry.ts";
import { EntryMap } from "../../../core/daemon/journal/entry_map.ts";
import { NOTHING_HELD } from "../../../core/daemon/journal/held.ts";
import { deviceName } from "../../../core/xen/device_id.ts";

const NAMES = ["uses", "use", "storage 8:1", "storage 8:2", "constructor"];
const VALUES = ["a", "b", 1, true];

function entry(devid: number, undo: JournalEntry["undo"]): JournalEntry {
  const id = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid };
  return {
    ...{ id, attachId: null, stage: "connected", operation: null, error: null, waitsFor: null },
    ...{ undo, held: NOTHING_HELD, nodes: {} },
  };
}

test("whatever is recorded, changed and dropped", () => {
  const undo = fc.dictionary(fc.constantFrom(...NAMES), fc.constantFrom(...VALUES));
  const step = fc.record({
    devid: fc.nat(3),
    drop: fc.boolean(),
    undo,
    ask: fc.constantFrom(...NAMES),
  });
  fc.assert(fc.property(fc.array(undo, { maxLength: 4 }), fc.array(step), (earlier, steps) => {
    const map = new EntryMap(
      new Map(earlier.map((undo, devid) => [`vbd/7/${devid}`, entry(devid, undo)])),
    );
    for (const { devid, drop, undo, ask } of steps) {
      const given = entry(devid, undo);
      if (drop) map.delete(deviceName(given.id));
      else map.set(given);
      const values = new Set<unknown>();
      for (const value of VALUES) {
        const walked = [...map.all.values()].filter(({ undo }) =>
          Object.hasOwn(undo, ask) && undo[ask] === value
        );
        expect(new Set(map.holders(ask, value))).toEqual(new Set(walked));
        if (walked.length > 0) values.add(value);
      }
      expect(new Set<unknown>(map.values(ask))).toEqual(values);
    }
  }));
});
