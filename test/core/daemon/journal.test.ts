/** The journal: what a kill at any byte leaves, and what damage does. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JournalEntry } from "../../../core/daemon/journal/entry.ts";
import {
  encodeDrop,
  encodeHeader,
  encodePut,
  PAYLOAD_MAX,
  replay,
} from "../../../core/daemon/journal/format.ts";
import { Journal, JournalError } from "../../../core/daemon/journal/journal.ts";
import { deviceName } from "../../../core/xen/device_id.ts";
import { type AppendFiles, systemAppendFiles } from "../../../platform/io/append_file.ts";

const HEADER = { domid: 1, bootId: "11111111-2222" };

const entries: fc.Arbitrary<JournalEntry> = fc.record({
  id: fc.record({
    backendDomid: fc.constant(1),
    kind: fc.constantFrom("vbd", "vif"),
    frontendDomid: fc.integer({ min: 2, max: 4 }),
    devid: fc.constantFrom(0, 51712, 0xffffffff),
  }),
  attachId: fc.option(fc.string()),
  stage: fc.constantFrom("adding", "connected", "undoing", "failed", "removing", "removed"),
  operation: fc.option(fc.string()),
  error: fc.option(fc.string()),
  waitsFor: fc.option(fc.array(fc.string(), { maxLength: 3 })),
  held: fc.record({
    processes: fc.dictionary(fc.stringMatching(/^[a-z-]{1,8}$/), fc.string(), { maxKeys: 2 })
      .map((processes) => ({ ...processes })),
    hotplugDirectory: fc.boolean(),
    deviceModel: fc.option(
      fc.record({ mark: fc.string(), identity: fc.option(fc.string()) }, { noNullPrototype: true }),
    ),
    script: fc.constantFrom("none", "begun", null),
    version2: fc.option(
      fc.record(
        {
          progress: fc.constantFrom("asked", "preparing", "adding", "done", "no"),
          target: fc.string(),
        },
        { noNullPrototype: true },
      ),
    ),
  }, { noNullPrototype: true }),
  undo: fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom("constructor", "node")),
    fc.oneof(fc.string(), fc.integer(), fc.boolean()),
    { maxKeys: 4 },
    // msgpackr gives this one another name; no plugin needs it.
  ).map(({ ["__proto__"]: _, ...undo }) => undo),
  nodes: fc.dictionary(fc.stringMatching(/^[a-z-]{1,8}$/), fc.string(), { maxKeys: 3 })
    .map((nodes) => ({ ...nodes })),
});

const operations = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: entries.map((put) => ({ put })) },
    { weight: 1, arbitrary: entries.map(({ id }) => ({ drop: deviceName(id) })) },
  ),
  { maxLength: 12 },
);
type Operation = typeof operations extends fc.Arbitrary<(infer T)[]> ? T : never;

function apply(model: Map<string, JournalEntry>, operation: Operation): Map<string, JournalEntry> {
  const next = new Map(model);
  if ("put" in operation) next.set(deviceName(operation.put.id), operation.put);
  else next.delete(operation.drop);
  return next;
}

/** The bytes after each record, and what they say. */
function write(script: Operation[]) {
  const records = [encodeHeader(HEADER)];
  const models = [new Map<string, JournalEntry>()];
  for (const operation of script) {
    records.push("put" in operation ? encodePut(operation.put) : encodeDrop(operation.drop));
    models.push(apply(models.at(-1)!, operation));
  }
  const ends = records.map((_, index) =>
    records.slice(0, index + 1).reduce((sum, { length }) => sum + length, 0)
  );
  return { bytes: new Uint8Array(Buffer.concat(records)), ends, models };
}

const sorted = (map: Map<string, JournalEntry>) => [...map].toSorted(([a], [b]) => a < b ? -1 : 1);

describe("the format", () => {
  test("cut off at any byte, it says what was written before, and no more", () => {
    fc.assert(
      fc.property(operations, (script) => {
        const { bytes, ends, models } = write(script);
        for (let cut = 0; cut <= bytes.length; cut++) {
          const whole = ends.filter((end) => end <= cut).length;
          const found = replay(bytes.subarray(0, cut));
          expect(sorted(found.entries)).toEqual(sorted(models[whole - 1] ?? new Map()));
          const torn = cut !== 0 && !ends.includes(cut);
          expect(found.damage).toBe(torn ? "torn" : null);
          expect(found.goodLength).toBe(ends[whole - 1] ?? 0);
        }
      }),
      { numRuns: 60 },
    );
    // Each cut of each journal is read: what cuts a record, and how large that is, makes it long.
  }, 60_000);

  test("a byte changed anywhere is noticed, and what came before it still counts", () => {
    fc.assert(
      fc.property(operations, fc.nat(), fc.integer({ min: 1, max: 255 }), (script, at, by) => {
        const { bytes, ends, models } = write(script);
        const place = at % bytes.length;
        bytes[place]! ^= by;
        const before = ends.filter((end) => end <= place).length;
        const found = replay(bytes);
        expect(found.damage).not.toBeNull();
        expect(sorted(found.entries)).toEqual(sorted(models[before - 1] ?? new Map()));
      }),
      { numRuns: 1_000 },
    );
  });

  test("no bytes make it throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        replay(bytes);
        replay(new Uint8Array([...encodeHeader(HEADER), ...bytes]));
      }),
      { numRuns: 2_000 },
    );
  });

  test("a record that is too large is refused", () => {
    const [entry] = fc.sample(entries, 1);
    const huge = { ...entry!, undo: { text: "x".repeat(PAYLOAD_MAX) } };
    expect(() => encodePut(huge)).toThrow(/at most 65536/);
  });
});

describe("the file", () => {
  let directory: string;
  let reports: string[] = [];
  let number = 0;

  beforeAll(() => {
    directory = fs.mkdtempSync(join(tmpdir(), "xdevd-journal-"));
  });

  afterAll(() => fs.rmSync(directory, { recursive: true }));

  const fresh = () => join(directory, `journal-${number++}`);
  const open = (path: string, more: object = {}) => {
    reports = [];
    return Journal.open({
      files: systemAppendFiles,
      path,
      ...HEADER,
      report: (level, text) => reports.push(`${level}: ${text}`),
      ...more,
    });
  };
  const [one, two] = fc.sample(
    fc.uniqueArray(entries, { minLength: 2, maxLength: 2, selector: ({ id }) => deviceName(id) }),
    { numRuns: 1, seed: 4 },
  )[0]!;

  test("opened again after every operation, it says the same", () => {
    fc.assert(
      fc.property(operations, (script) => {
        const path = fresh();
        let model = new Map<string, JournalEntry>();
        for (const operation of script) {
          const journal = open(path);
          if ("put" in operation) journal.put(operation.put);
          else journal.drop(operation.drop);
          journal.close();
          model = apply(model, operation);
          const again = open(path);
          const found = again.entries().map((entry): [string, JournalEntry] => [
            deviceName(entry.id),
            entry,
          ]);
          again.close();
          expect(sorted(new Map(found))).toEqual(sorted(model));
        }
      }),
      { numRuns: 50 },
    );
  });

  test("many records do not make it grow", () => {
    const path = fresh();
    const journal = open(path);
    for (let round = 0; round < 10_000; round++) {
      journal.put({ ...one!, attachId: String(round) });
      expect(fs.statSync(path).size).toBeLessThan(80 * 1024);
    }
    journal.close();
    expect(open(path).get(deviceName(one!.id))?.attachId).toBe("9999");
  });

  test("a torn end is cut off, with no complaint, and the next record is readable", () => {
    const path = fresh();
    const journal = open(path);
    journal.put(one!);
    journal.put(two!);
    journal.close();
    fs.truncateSync(path, fs.statSync(path).size - 3);
    const again = open(path);
    expect(reports).toEqual([]);
    expect(again.entries()).toEqual([one!]);
    again.put(two!);
    again.close();
    expect(open(path).entries()).toEqual([one!, two!]);
  });

  test("a damaged one is kept aside and said so; what came before the damage counts", () => {
    const path = fresh();
    const journal = open(path);
    journal.put(one!);
    journal.put(two!);
    journal.close();
    const bytes = fs.readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    fs.writeFileSync(path, bytes);
    expect(open(path).entries()).toEqual([one!]);
    expect(reports).toHaveLength(1);
    expect(reports[0]).toMatch(
      /^error: the journal .* is damaged after \d+ of \d+ bytes: kept as /,
    );
    expect(fs.readFileSync(`${path}.bad`)).toEqual(bytes);
  });

  test("one of another boot or another domain does not count", () => {
    const path = fresh();
    const journal = open(path);
    journal.put(one!);
    journal.close();
    expect(open(path, { bootId: "another" }).entries()).toEqual([]);
    expect(reports[0]).toMatch(/is of an earlier boot: its 1 records are dropped/);
  });

  test("another version, or another kind of file, is kept aside", () => {
    const path = fresh();
    fs.writeFileSync(path, "hello, this is no journal at all", { mode: 0o600 });
    expect(open(path).entries()).toEqual([]);
    expect(reports[0]).toMatch(/is no journal: kept as/);
  });

  test("what others could have written is refused", () => {
    const path = fresh();
    fs.writeFileSync(path, "");
    fs.chmodSync(path, 0o622);
    expect(() => open(path)).toThrow(/has mode 622; expected no one else to write it: remove it/);
    fs.rmSync(path);
    fs.symlinkSync("/etc/passwd", path);
    expect(() => open(path)).toThrow(/is a symbolic link/);
    fs.rmSync(path);
    fs.mkdirSync(path);
    expect(() => open(path)).toThrow(/is no regular file|EISDIR/);
  });

  test("a full file system: the put fails, and what was there still counts, here and in the file", () => {
    const path = fresh();
    let full = false;
    const files: AppendFiles = {
      ...systemAppendFiles,
      replace(target, content) {
        if (full) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
        const file = systemAppendFiles.replace(target, content);
        return {
          get size() {
            return file.size;
          },
          append(bytes) {
            if (full) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
            file.append(bytes);
          },
          close: () => file.close(),
        };
      },
    };
    const journal = open(path, { files });
    journal.put(one!);
    full = true;
    expect(() => journal.put({ ...one!, attachId: "new" })).toThrow(JournalError);
    expect(() => journal.put(two!)).toThrow(/cannot be written: no space left on device/);
    expect(journal.entries()).toEqual([one!]);
    full = false;
    journal.put(two!);
    journal.close();
    expect(open(path).entries()).toEqual([one!, two!]);
  });

  describe("what is given back while the file system is full", () => {
    let full = false;
    const error = () => Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    const files: AppendFiles = {
      ...systemAppendFiles,
      replace(target, content) {
        if (full) throw error();
        const file = systemAppendFiles.replace(target, content);
        return {
          get size() {
            return file.size;
          },
          append(bytes) {
            if (full) throw error();
            file.append(bytes);
          },
          close: () => file.close(),
        };
      },
    };
    const prepared = () => {
      const path = fresh();
      full = false;
      reports.length = 0;
      const journal = open(path, { files });
      journal.put(one!);
      journal.put(two!);
      full = true;
      return { path, journal };
    };
    const written = (path: string) => replay(new Uint8Array(fs.readFileSync(path))).entries;
    const [first, second] = [deviceName(one!.id), deviceName(two!.id)];
    const removed = { ...one!, stage: "removed" } as const;

    test("counts at once, and the file says more until it can say the same", () => {
      const { path, journal } = prepared();
      expect(journal.note(removed)).toBeFalse();
      journal.drop(second);
      expect(journal.entries()).toEqual([removed]);
      expect([...written(path).values()]).toEqual([one!, two!]);
      expect(journal.catchUp()).toBeFalse();
      expect(reports).toEqual([
        `warning: the journal ${path} cannot be written, and is brought up to date later: ` +
        "no space left on device [journal-unusable]",
      ]);
      full = false;
      expect(journal.catchUp()).toBeTrue();
      expect([...written(path).values()]).toEqual([removed]);
      expect(reports.slice(1)).toEqual([`info: the journal ${path} is up to date again`]);
      // From here on as before.
      expect(journal.note(one!)).toBeTrue();
      expect([...written(path).values()]).toEqual([one!]);
      expect(reports).toHaveLength(2);
      journal.close();
    });

    test.each<[string, (journal: Journal) => unknown]>([
      ["the next device", (journal) => journal.put(two!)],
      ["the next change", (journal) => journal.note(two!)],
      ["its end", (journal) => journal.close()],
    ])("is written with %s", (_, next) => {
      const { path, journal } = prepared();
      journal.drop(first);
      full = false;
      next(journal);
      expect([...written(path).keys()]).toEqual([second]);
    });

    test("is not written any more once it is closed: the file may be the next daemon's", () => {
      const { path, journal } = prepared();
      journal.drop(first);
      journal.close();
      full = false;
      const next = open(path, { files });
      next.put({ ...two!, attachId: "the next" });
      expect(journal.catchUp()).toBeFalse();
      expect(() => journal.drop(second)).toThrow(JournalError);
      expect(() => journal.note(two!)).toThrow(JournalError);
      expect(() => journal.put(two!)).toThrow(JournalError);
      journal.close();
      expect(written(path).get(second)).toMatchObject({ attachId: "the next" });
      next.close();
    });

    test("does not let anything else be begun that cannot be written", () => {
      const { path, journal } = prepared();
      journal.drop(first);
      expect(() => journal.put(one!)).toThrow(JournalError);
      expect(journal.entries()).toEqual([two!]);
      expect([...written(path).keys()]).toEqual([first, second]);
    });
  });

  test("compaction that fails is tried again only when the file has grown", () => {
    const path = fresh();
    let tries = 0;
    let broken = false;
    const files: AppendFiles = {
      ...systemAppendFiles,
      replace(target, content) {
        if (!broken) return systemAppendFiles.replace(target, content);
        tries++;
        throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
      },
    };
    const journal = open(path, { files });
    broken = true;
    for (let round = 0; fs.statSync(path).size < 200 * 1024; round++) {
      journal.put({ ...one!, attachId: String(round) });
    }
    expect(tries).toBe(3);
    expect(reports.every((line) => line.startsWith("warning: ") && /compacted/.test(line)))
      .toBeTrue();
    broken = false;
    journal.close();
    expect(open(path).get(deviceName(one!.id))).toEqual(journal.get(deviceName(one!.id))!);
  });
});
