/**
 * Journals of other versions. `fixtures/version_1.journal` was written by the last program that wrote
 * version 1: its daemon made the record of disk 51712, its encoder those of all that it could hold.
 */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack } from "msgpackr/pack";
import type { JournalEntry } from "../../../../core/daemon/journal/entry.ts";
import { encodePut, type JournalHeader, replay } from "../../../../core/daemon/journal/format.ts";
import { type Held, NOTHING_HELD, UNKNOWN_HELD } from "../../../../core/daemon/journal/held.ts";
import { Journal } from "../../../../core/daemon/journal/journal.ts";
import { systemAppendFiles } from "../../../../platform/io/append_file.ts";
import { entry, framed, HEADER, joined } from "./samples.ts";

const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-versions-"));
afterAll(() => fs.rmSync(directory, { recursive: true }));

const old = new Uint8Array(
  fs.readFileSync(join(import.meta.dir, "fixtures", "version_1.journal")),
);

let path: string;
let reports: string[];
beforeEach(() => {
  path = join(fs.mkdtempSync(join(directory, "case-")), "journal");
  reports = [];
});

function open(header: JournalHeader): Journal {
  return Journal.open({
    files: systemAppendFiles,
    path,
    ...header,
    report: (level, text) => reports.push(`${level}: ${text}`),
  });
}

const read = () => new Uint8Array(fs.readFileSync(path));
const held = (more: Partial<Held>): Held => ({ ...UNKNOWN_HELD, ...more });

function device(devid: number, more: Partial<JournalEntry>): JournalEntry {
  return {
    id: { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid },
    attachId: `token-${devid}`,
    stage: "connected",
    operation: null,
    error: null,
    waitsFor: null,
    undo: {},
    held: UNKNOWN_HELD,
    nodes: {},
    ...more,
  };
}

/** What it says. */
const EXPECTED: readonly JournalEntry[] = [
  device(51712, {
    attachId: "6cc875a3-b6c7-466e-b5ca-5fd9833ded86",
    undo: {
      script: "/tmp/xdevd-version-1/block-old",
      params: "/dev/x",
      "storage named block-old /dev/x": "w 0-",
      loops: "",
      "storage block 1792": "w 0-",
      disk: "7:0#25512",
    },
    held: held({ script: "begun" }),
    nodes: {
      frontend: "/local/domain/7/device/vbd/51712",
      "frontend-id": "7",
      online: "1",
      mode: "w",
      type: "phy",
      state: "2",
      script: "/tmp/xdevd-version-1/block-old",
      params: "/dev/x",
      "physical-device": "7:0",
      "hotplug-status": "connected",
    },
  }),
  device(1, {
    undo: { image: "/images/a", size: 4096 },
    held: held({
      script: "none",
      processes: { tap: "/usr/sbin/tap --device 1", log: "/bin/log" },
    }),
  }),
  device(2, {
    held: held({
      script: "none",
      deviceModel: { mark: "device-model/1/7/a-mark", identity: "4711:99" },
    }),
  }),
  device(3, {
    stage: "removing",
    operation: "an-operation",
    held: held({
      script: "begun",
      version2: { progress: "adding", target: "iqn.2001-04.org:disk" },
      hotplugDirectory: true,
    }),
  }),
  device(4, { stage: "failed", error: "in use", waitsFor: ["vbd/7/1", "vif/8/0"] }),
  device(5, { attachId: null, undo: { native: true, shared: false, "storage 8:1": "all" } }),
  device(7, { stage: "failed", waitsFor: [] }),
];

describe("a journal of version 1", () => {
  test("is read: what the plugin has recorded, and what the daemon held, each in its place", () => {
    const found = replay(old);
    expect([found.damage, found.version]).toEqual([null, 1]);
    expect([...found.entries.values()]).toEqual([...EXPECTED]);
  });

  test("is written anew in this version, as one line says", () => {
    fs.writeFileSync(path, old, { mode: 0o600 });
    const { header } = replay(old);
    const journal = open(header!);
    expect(journal.entries()).toEqual([...EXPECTED]);
    expect(reports).toEqual([
      `info: the journal ${path} is of version 1: its 7 records are taken over into version 2`,
    ]);
    journal.close();
    expect(replay(read()).version).toBe(2);
    reports.length = 0;
    const next = open(header!);
    expect(next.entries()).toEqual([...EXPECTED]);
    expect(reports).toEqual([]);
    next.close();
  });

  test("cut off at any byte, it says what was written before that", () => {
    const whole = [...replay(old).entries.keys()];
    for (let cut = 0; cut < old.length; cut += 7) {
      const { entries, damage } = replay(old.subarray(0, cut));
      expect(damage === null || damage === "torn").toBeTrue();
      for (const [name, each] of entries) {
        // One of them was dropped again in the end; of the first there are earlier stages.
        if (!whole.includes(name)) expect(name).toBe("vbd/7/6");
        else if (name === "vbd/7/51712") expect(each).toMatchObject({ id: EXPECTED[0]!.id });
        else expect(each).toEqual(EXPECTED.find(({ id }) => name === `vbd/7/${id.devid}`)!);
      }
    }
  });

  test("with an entry of this version in it is damaged there", () => {
    const { header } = replay(old);
    const first = framed(pack({ magic: "xdevd-journal", version: 1, ...header }));
    const later = framed(pack({ put: { ...entry(1), token: undefined } }));
    expect(replay(joined(first, later)).damage).toBe("corrupt");
  });
});

test("a journal of a later version is refused in one line, and left as it is", () => {
  const first = framed(pack({ magic: "xdevd-journal", version: 3, ...HEADER }));
  const bytes = joined(first, encodePut(entry(1)), framed(pack({ unheardOf: true })));
  fs.writeFileSync(path, bytes, { mode: 0o600 });
  expect(() => open(HEADER)).toThrow(
    `cannot use the journal ${path}: it is of version 3; expected 1 to 2: a later xdevd has written ` +
      "it, and has to be the one that runs; nothing was changed",
  );
  expect(reports).toEqual([]);
  expect(read()).toEqual(bytes);
  expect(fs.readdirSync(join(path, ".."))).toEqual(["journal"]);
});

test("of another start of the machine, a later version is refused all the same: nobody can read it", () => {
  const header = { ...HEADER, bootId: "another" };
  fs.writeFileSync(path, framed(pack({ magic: "xdevd-journal", version: 9, ...header })), {
    mode: 0o600,
  });
  expect(() => open(HEADER)).toThrow("it is of version 9; expected 1 to 2");
});

test("a put says nothing of what only the daemon of version 1 would take for its own", () => {
  const undo = { "process tap": "a plugin's own", "hotplug script": "too" };
  const found = replay(joined(
    framed(pack({ magic: "xdevd-journal", version: 2, ...HEADER })),
    encodePut(entry(1, { undo })),
  ));
  expect(found.entries.get("vbd/2/1")).toMatchObject({ undo, held: NOTHING_HELD });
});
