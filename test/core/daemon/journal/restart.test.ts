/** Journals that are opened again: after a kill at any moment, and after damage. */
import { afterAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack } from "msgpackr/pack";
import { encodeHeader, encodePut, replay } from "../../../../core/daemon/journal/format.ts";
import { Journal, JournalError } from "../../../../core/daemon/journal/journal.ts";
import { type AppendFiles, systemAppendFiles } from "../../../../platform/io/append_file.ts";
import { entry, framed, HEADER, joined } from "./samples.ts";

const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-journal-"));
afterAll(() => fs.rmSync(directory, { recursive: true }));

let number = 0;
const fresh = () => join(directory, `journal-${number++}`);
let reports: string[] = [];
function open(path: string, files: AppendFiles = systemAppendFiles, header = HEADER): Journal {
  reports = [];
  const report = (level: string, text: string) => void reports.push(`${level}: ${text}`);
  return Journal.open({ files, path, ...header, report });
}

describe("a daemon that is killed", () => {
  test("between setting a damaged file aside and beginning a new one, loses nothing by it", () => {
    const path = fresh();
    const bytes = joined(encodeHeader(HEADER), encodePut(entry(1)), framed(pack({ drop: 1 })));
    fs.writeFileSync(path, bytes, { mode: 0o600 });
    const killed: AppendFiles = {
      ...systemAppendFiles,
      replace() {
        throw new Error("killed");
      },
    };
    for (let time = 0; time < 2; time++) {
      expect(() => open(path, killed)).toThrow(JournalError);
      expect(new Uint8Array(fs.readFileSync(`${path}.bad`))).toEqual(bytes);
    }
    const journal = open(path);
    expect(journal.entries()).toEqual([entry(1)]);
    journal.put(entry(2));
    journal.close();
    expect(new Uint8Array(fs.readFileSync(`${path}.bad`))).toEqual(bytes);
    expect(open(path).entries()).toEqual([entry(1), entry(2)]);
  });

  test(
    "by SIGKILL, has in the file all that it had gone on from, and at most one record more",
    async () => {
      const path = fresh();
      const at = (name: string) => JSON.stringify(join(import.meta.dir, name));
      // Large enough records that it compacts many times, so that kills hit that, too.
      const program = `
      import { writeSync } from "node:fs";
      import { Journal } from ${at("../../../../core/daemon/journal/journal.ts")};
      import { systemAppendFiles } from ${at("../../../../platform/io/append_file.ts")};
      import { entry, HEADER } from ${at("samples.ts")};
      const journal = Journal.open({
        files: systemAppendFiles, path: ${JSON.stringify(path)}, ...HEADER, report: console.error,
      });
      const first = Number(journal.get("vbd/2/0")?.attachId ?? 0);
      for (let round = first + 1;; round++) {
        journal.put(entry(0, { attachId: String(round), undo: { text: "x".repeat(10_000) } }));
        writeSync(1, round + "\\n");
      }`;
      let goneOnFrom = 0;
      for (let round = 0; round < 8; round++) {
        const child = spawn(process.execPath, ["-e", program], {
          stdio: ["ignore", "pipe", "pipe"],
        });
        let output = "";
        let complaints = "";
        child.stderr.on("data", (chunk) => complaints += chunk);
        const started = new Promise<void>((resolve) =>
          child.stdout.on("data", (chunk) => {
            output += chunk;
            resolve();
          })
        );
        const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
        await Promise.race([started, ended]);
        await Bun.sleep(round * 7);
        child.kill("SIGKILL");
        await ended;
        expect(complaints).toBe("");
        const told = Number(output.slice(0, output.lastIndexOf("\n")).split("\n").at(-1));
        expect(told).toBeGreaterThan(goneOnFrom);
        const { damage, entries } = replay(new Uint8Array(fs.readFileSync(path)));
        expect(damage === null || damage === "torn").toBeTrue();
        goneOnFrom = Number(entries.get("vbd/2/0")?.attachId);
        expect([told, told + 1]).toContain(goneOnFrom);
      }
    },
    30_000,
  );
});

describe("a put", () => {
  test("of what could not be read again is refused, and does no harm to the others", () => {
    const path = fresh();
    const journal = open(path);
    journal.put(entry(1));
    // As a plugin that is not checked may do.
    const odd = { loop: null } as unknown as Record<string, string>;
    expect(() => journal.put(entry(1, { undo: odd }))).toThrow(JournalError);
    expect(() => journal.put(entry(2, { undo: odd }))).toThrow(/cannot be written: a field/);
    expect(journal.entries()).toEqual([entry(1)]);
    journal.put(entry(3));
    journal.close();
    expect(open(path).entries()).toEqual([entry(1), entry(3)]);
    expect(reports).toEqual([]);
  });

  test("after the end fails, whoever has the file's number now", () => {
    const journal = open(fresh());
    journal.put(entry(1));
    journal.close();
    expect(() => journal.put(entry(2))).toThrow(JournalError);
    expect(() => journal.drop("vbd/2/1")).toThrow(JournalError);
    expect(journal.entries()).toEqual([entry(1)]);
  });

  test("goes to the new file even if the old one cannot be closed after compacting", () => {
    const path = fresh();
    let broken = false;
    const files: AppendFiles = {
      ...systemAppendFiles,
      replace(target, content) {
        const file = systemAppendFiles.replace(target, content);
        return {
          get size() {
            return file.size;
          },
          append: (bytes) => file.append(bytes),
          close() {
            file.close();
            if (broken) throw new Error("EIO");
          },
        };
      },
    };
    const journal = open(path, files);
    broken = true;
    for (let round = 0; reports.length === 0; round++) {
      journal.put(entry(1, { undo: { text: "x".repeat(10_000), round } }));
    }
    journal.put(entry(2));
    expect(open(path).get("vbd/2/2")).toEqual(entry(2));
  });
});

describe("a file that is not to be used", () => {
  test("of a version that there never was is kept aside, in place of one kept earlier, and nothing of it is used", () => {
    const path = fresh();
    const next = { magic: "xdevd-journal", version: 0, ...HEADER };
    const bytes = joined(framed(pack(next)), encodePut(entry(1)));
    fs.writeFileSync(path, bytes, { mode: 0o600 });
    fs.writeFileSync(`${path}.bad`, "older");
    expect(open(path).entries()).toEqual([]);
    expect(reports).toHaveLength(1);
    expect(reports[0]).toStartWith(
      `error: the journal ${path} is of no version that there is (expected 1 to 2):`,
    );
    expect(new Uint8Array(fs.readFileSync(`${path}.bad`))).toEqual(bytes);
    expect(open(path).entries()).toEqual([]);
    expect(reports).toEqual([]);
  });

  test("of another domain: one line says how much is dropped", () => {
    const path = fresh();
    const journal = open(path);
    for (const devid of [1, 2, 3]) journal.put(entry(devid));
    journal.close();
    expect(open(path, systemAppendFiles, { ...HEADER, domid: 2 }).entries()).toEqual([]);
    expect(reports).toEqual([
      `info: the journal ${path} is of domain 1: its 3 records are dropped`,
    ]);
  });

  test("with a length that is damaged in the middle is kept, and said so: not taken for torn", () => {
    const path = fresh();
    const records = [encodeHeader(HEADER), ...[1, 2, 3].map((devid) => encodePut(entry(devid)))];
    const bytes = joined(...records);
    bytes[records[0]!.length + records[1]!.length + 1]! ^= 0x40;
    fs.writeFileSync(path, bytes, { mode: 0o600 });
    expect(open(path).entries()).toEqual([entry(1)]);
    expect(reports).toHaveLength(1);
    expect(new Uint8Array(fs.readFileSync(`${path}.bad`))).toEqual(bytes);
  });
});
