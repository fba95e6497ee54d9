/** The journal's bytes: whatever they are, nothing is read that was not written. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { pack } from "msgpackr/pack";
import { CAPABILITIES } from "../../../../contract/v1/capabilities.ts";
import { UNKNOWN_HELD } from "../../../../core/daemon/journal/held.ts";
import { pack as ownPack } from "../../../../core/message_pack.ts";
import type { JournalEntry } from "../../../../core/daemon/journal/entry.ts";
import {
  encodeDrop,
  encodeHeader,
  encodePut,
  PAYLOAD_MAX,
  replay,
} from "../../../../core/daemon/journal/format.ts";
import { entry, framed, HEADER, joined } from "./samples.ts";

const header = encodeHeader(HEADER);
const put = (value: unknown) => joined(header, encodePut(entry(1)), framed(pack({ put: value })));

test("a record of all that plugins and toolstacks may put into it fits", () => {
  const long = (bytes: number) => "x".repeat(bytes);
  const nodes = Object.fromEntries(
    Array.from({ length: 64 }, (_, at) => [`${long(100)}${at}`, long(16 * 1024 / 64 - 104)]),
  );
  const processes = Object.fromEntries(
    Array.from({ length: 64 }, (_, at) => [`${long(30)}${at}`, long(100)]),
  );
  const largest = entry(1, {
    operation: crypto.randomUUID(),
    error: long(1000),
    undo: { [long(100)]: long(CAPABILITIES.recordUndo.limits.bytes) },
    nodes,
    held: {
      ...UNKNOWN_HELD,
      processes,
      deviceModel: { mark: long(200), identity: long(50) },
      version2: { progress: "preparing", target: long(4096) },
    },
  });
  expect(encodePut(largest).length).toBeLessThan(PAYLOAD_MAX - 2048);
});

describe("damage", () => {
  // Four operations, the last of which is a drop.
  const records = [
    header,
    encodePut(entry(1)),
    encodePut(entry(2)),
    encodePut(entry(1, { stage: "removing", operation: "mark", undo: {} })),
    encodeDrop("vbd/2/2"),
  ];
  const bytes = joined(...records);
  const states = records.map((_, index) => [
    ...replay(joined(...records.slice(0, index + 1))).entries.values(),
  ]);

  test("any one bit flipped is not taken for a record, nor for an end that is merely torn", () => {
    let place = 0;
    records.forEach((record, number) => {
      for (let bit = 0; bit < record.length * 8; bit++) {
        const flipped = bytes.slice();
        flipped[place + (bit >> 3)]! ^= 1 << (bit & 7);
        const found = replay(flipped);
        expect([...found.entries.values()]).toEqual(states[number - 1] ?? []);
        expect(found.goodLength).toBe(place);
        expect(found.damage).toBe(number === 0 ? "foreign" : "corrupt");
      }
      place += record.length;
    });
  });

  test("a length that is damaged is no torn end, however far it points", () => {
    for (const length of [PAYLOAD_MAX, PAYLOAD_MAX + 1, 0xffffffff, bytes.length]) {
      const changed = bytes.slice();
      new DataView(changed.buffer).setUint32(header.length, length, true);
      expect(replay(changed)).toMatchObject({ damage: "corrupt", goodLength: header.length });
    }
  });

  test("a view into a larger buffer is read as what it is", () => {
    const larger = joined(new Uint8Array(5), bytes, new Uint8Array(5));
    const found = replay(larger.subarray(5, 5 + bytes.length));
    expect([...found.entries.values()]).toEqual(states.at(-1)!);
    expect(found.damage).toBeNull();
  });

  test("an empty file is no damage, and has no header", () => {
    expect(replay(new Uint8Array())).toMatchObject({ header: null, damage: null, goodLength: 0 });
  });

  test("records without a header are foreign; another version is one", () => {
    expect(replay(encodePut(entry(1)))).toMatchObject({ header: null, damage: "foreign" });
    const cases = [[0, "version"], [-1, "version"], [1.5, "version"], ["2", "version"]] as const;
    for (const [version, damage] of [...cases, [3, "newer"], [4000, "newer"]] as const) {
      const next = framed(pack({ magic: "xdevd-journal", version, domid: 1, bootId: "b" }));
      const found = replay(joined(next, encodePut(entry(1))));
      expect(found).toMatchObject({ header: null, damage });
      expect(found.entries.size).toBe(0);
    }
  });
});

describe("records with a good checksum and a wrong content", () => {
  const good = entry(3);
  const wrong: Record<string, unknown> = {
    "no object": 7,
    "null": null,
    "an array": [good],
    "no id": { ...good, id: undefined },
    "an id that is text": { ...good, id: "vbd/2/3" },
    "a domid that is none": { ...good, id: { ...good.id, frontendDomid: 0x7ff0 } },
    "a negative number": { ...good, id: { ...good.id, devid: -1 } },
    "a number that is none": { ...good, id: { ...good.id, devid: 1.5 } },
    "a number beyond 2³²": { ...good, id: { ...good.id, devid: 2 ** 32 } },
    "a kind with a slash": { ...good, id: { ...good.id, kind: "../x" } },
    "an attach id that is a number": { ...good, attachId: 7 },
    "no attach id": { ...good, attachId: undefined },
    "devices waited for that are none": { ...good, waitsFor: [1] },
    "devices waited for that are a text": { ...good, waitsFor: "vbd/7/1" },
    "nothing said of what is held": { ...good, held: undefined },
    "a process that is a number": { ...good, held: { ...good.held, processes: { tap: 1 } } },
    "processes that are an array": { ...good, held: { ...good.held, processes: ["tap"] } },
    "a directory that is a text": { ...good, held: { ...good.held, hotplugDirectory: "yes" } },
    "a device model without a mark": { ...good, held: { ...good.held, deviceModel: {} } },
    "a script that is none": { ...good, held: { ...good.held, script: "half" } },
    "a progress that is none": {
      ...good,
      held: { ...good.held, version2: { progress: "toString", target: "" } },
    },
    "no target": { ...good, held: { ...good.held, version2: { progress: "done" } } },
    "a stage that is none": { ...good, stage: "toString" },
    "an operation that is a number": { ...good, operation: 1 },
    "no error": { ...good, error: undefined },
    "an undo that is an array": { ...good, undo: ["a"] },
    "an undo with a null": { ...good, undo: { a: null } },
    "an undo with an object": { ...good, undo: { a: {} } },
    "an undo with a huge number": { ...good, undo: { a: 2n ** 63n } },
  };
  for (const [name, value] of Object.entries(wrong)) {
    test(`${name}: corrupt, and what came before counts`, () => {
      const found = replay(put(value));
      expect(found.damage).toBe("corrupt");
      expect([...found.entries.values()]).toEqual([entry(1)]);
    });

    test(`${name}: is not written either`, () => {
      expect(() => encodePut(value as JournalEntry)).toThrow(TypeError);
    });
  }

  test("the good one of which they are made is read", () => {
    expect([...replay(put(good)).entries.values()]).toEqual([entry(1), good]);
  });

  test("a record that is neither a put nor a drop", () => {
    for (const value of [{}, { drop: 1 }, { drop: null }, { magic: "xdevd-journal" }, 1, "put"]) {
      expect(replay(joined(header, framed(pack(value)))).damage).toBe("corrupt");
    }
  });

  test("fields that nobody knows are left behind", () => {
    const found = replay(put({ ...good, more: 1, id: { ...good.id, more: 1 } }));
    expect(found.entries.get("vbd/2/3")).toEqual(good);
  });

  test("names that objects have by themselves are names like others, or harmless", () => {
    const text = `{"__proto__":"polluted","constructor":"a","toString":"b","hasOwnProperty":true}`;
    const undo = JSON.parse(text);
    const found = replay(joined(header, encodePut(entry(1, { undo })))).entries.get("vbd/2/1")!;
    expect(Object.getPrototypeOf(found.undo)).toBe(Object.prototype);
    expect(Object.entries(found.undo)).toEqual(
      expect.arrayContaining([["constructor", "a"], ["toString", "b"], ["hasOwnProperty", true]]),
    );
    // The bytes can name it even though our writer does not.
    const payload = pack({ put: { ...good, undo: { xxprotoxx: "polluted" } } });
    const named = Buffer.from(
      payload.toString("latin1").replace("xxprotoxx", "__proto__"),
      "latin1",
    );
    const read = replay(joined(header, framed(named))).entries.get("vbd/2/3");
    expect(Object.getPrototypeOf(read?.undo ?? {})).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  test("no payload makes it throw, or changes how a later file is read or written", () => {
    const written = encodePut(entry(100));
    const good = joined(header, encodePut(entry(1)), written, encodeDrop("vbd/2/1"));
    const token = fc.oneof(
      fc.integer({ min: 0, max: 255 }),
      // Maps, arrays, text, extensions, and those of msgpackr's own: records, references, types.
      fc.constantFrom(0x81, 0x91, 0xa1, 0xd4, 0xc7, 0xdf, 0xdd, 0xdb, 0x72, 0x62, 0x69, 0x70, 0x78),
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 40 }), (payload) => {
        replay(joined(header, framed(Uint8Array.from(payload))));
        expect([...replay(good).entries.values()]).toEqual([entry(100)]);
        expect(encodePut(entry(100))).toEqual(written);
      }),
      { numRuns: 3_000 },
    );
  });

  test("a definition of msgpackr's own in one file does not turn the numbers of the next", () => {
    // Extension 0x72: from here on the number 0x40 stands for a record with the field "a".
    const definition = Uint8Array.from([0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01]);
    replay(joined(header, framed(definition)));
    const undo = { number: 0x40 };
    const found = replay(joined(header, encodePut(entry(0x40, { undo }))));
    expect(found.damage).toBeNull();
    expect(found.entries.get("vbd/2/64")?.undo).toEqual(undo);
  });
});

test("the largest record that fits, and one byte more", () => {
  const sized = (length: number) => entry(1, { undo: { text: "x".repeat(length) } });
  const spare = 8 + PAYLOAD_MAX - encodePut(sized(60_000)).length;
  const largest = encodePut(sized(60_000 + spare));
  expect(largest.length).toBe(8 + PAYLOAD_MAX);
  expect(replay(joined(header, largest)).damage).toBeNull();
  expect(() => encodePut(sized(60_001 + spare))).toThrow(RangeError);
  const beyond = framed(ownPack({ put: sized(60_001 + spare) }));
  expect(beyond.length).toBe(8 + PAYLOAD_MAX + 1);
  expect(replay(joined(header, beyond))).toMatchObject({
    damage: "corrupt",
    goodLength: header.length,
  });
});
