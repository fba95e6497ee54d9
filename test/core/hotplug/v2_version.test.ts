/** Which version a script follows, and how far one is. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  formatRecord,
  FRESH,
  isIdle,
  isStockScript,
  leftToDo,
  parseRecord,
  saysVersion2,
  v2Limits,
  type V2Record,
} from "../../../core/hotplug/v2/convention.ts";
import { type ScriptVersion, VersionCache } from "../../../core/hotplug/v2/version.ts";
import { DEFAULT_TIMES } from "../../../core/xen/times.ts";
import { systemFiles } from "../../../platform/io/files.ts";

describe("the version of a script", () => {
  let directory: string;

  beforeAll(() => {
    directory = fs.mkdtempSync(join(tmpdir(), "xdevd-version-"));
  });

  afterAll(() => fs.rmSync(directory, { recursive: true }));

  function script(name: string, text: string): string {
    const path = join(directory, name);
    fs.writeFileSync(path, text);
    return path;
  }

  const cache = (forced: [string, ScriptVersion][] = []) =>
    new VersionCache(systemFiles, new Map(forced), directory);

  test("configuration comes first, by path before name", async () => {
    const path = script("block", "");
    expect(await cache([["block", 2]]).find(path)).toBe(2);
    expect(await cache([["block", 2], [path, 1]]).find(path)).toBe(1);
    expect(await cache([["lock", 2]]).find(path)).toBe(1);
  });

  test("Xen's own are 1, of the same name elsewhere they are asked", async () => {
    expect(await cache().find(script("block-iscsi", "HOTPLUG_PATH"))).toBe(1);
    expect(isStockScript("/etc/xen/scripts/block", "/etc/xen/scripts")).toBe(true);
    expect(isStockScript("/opt/scripts/block", "/etc/xen/scripts")).toBe(false);
    expect(isStockScript("/etc/xen/scripts/x/block", "/etc/xen/scripts")).toBe(false);
    expect(isStockScript("/etc/xen/scripts/block-v2", "/etc/xen/scripts")).toBe(false);
  });

  test("one that does not know its directory need not be asked, whatever bytes it has", async () => {
    expect(await cache().find(script("block-1", "#!/bin/sh\nXENBUS_PATH"))).toBe(1);
    expect(await cache().find(script("block-2", "#!/bin/sh\n$HOTPLUG_PATH"))).toBeUndefined();
    const binary = join(directory, "block-binary");
    fs.writeFileSync(binary, Buffer.from([0x7f, 0xff, 0, ...Buffer.from("HOTPLUG_PATH"), 0xfe]));
    expect(await cache().find(binary)).toBeUndefined();
  });

  test("an answer holds until the file is another one", async () => {
    const path = script("block-learned", "HOTPLUG_PATH");
    const known = cache();
    await known.learn(path, 2);
    expect(await known.find(path)).toBe(2);
    fs.utimesSync(path, 1, 1);
    expect(await known.find(path)).toBeUndefined();
    await known.learn(path, 1);
    expect(await known.find(path)).toBe(1);
    // Replaced by another one with the same times and length.
    const other = script("other", "HOTPLUG_PATH");
    fs.utimesSync(other, 1, 1);
    fs.renameSync(other, path);
    expect(await known.find(path)).toBeUndefined();
  });

  test("only 2 is 2", () => {
    for (const text of ["2", "2\n", " 02 "]) expect(saysVersion2(text)).toBe(true);
    for (const text of [undefined, "", "1", "3", "22", "2.0", "two", "-2", "0x2"]) {
      expect(saysVersion2(text)).toBe(false);
    }
  });

  test("limits", () => {
    expect(v2Limits(DEFAULT_TIMES)).toEqual({
      version: 10_000,
      prepare: 120_000,
      unprepare: 120_000,
      add: 40_000,
      remove: 40_000,
      localattach: 40_000,
      localdetach: 40_000,
    });
  });
});

describe("the record", () => {
  const running = (action: "add" | "localattach" | "localdetach" | "version") => ({
    running: { action, operation: "x" },
  });
  const prepared: V2Record = { ...FRESH, stage: "prepared" };

  test("is read as it was written", () => {
    const records = [FRESH, {
      ...prepared,
      held: true,
      local: 3,
      attached: true,
      ...running("add"),
    }];
    for (const record of records) expect(parseRecord(formatRecord(record))).toEqual(record);
  });

  test("a damaged one means that anything may be held", () => {
    for (const text of ["", "{", "null", "3", "{}", '{"stage":"x"}', '{"stage":"prepared"}']) {
      expect(parseRecord(text)).toEqual({ ...prepared, attached: true });
    }
  });

  test.each<[V2Record, ReturnType<typeof leftToDo>]>([
    [FRESH, "nothing"],
    [{ ...FRESH, ...running("version") }, "forget"],
    [{ ...FRESH, stage: "preparing" }, "unprepare"],
    [{ ...FRESH, stage: "unpreparing" }, "unprepare"],
    [prepared, "nothing"],
    [{ ...prepared, attached: true, ...running("add") }, "nothing"],
    [{ ...prepared, ...running("localattach") }, "localdetach"],
    [{ ...prepared, local: 1, ...running("localdetach") }, "localdetach"],
  ])("%j: %s", (record, left) => {
    expect(leftToDo(record)).toBe(left);
  });

  test("nobody uses it", () => {
    expect(isIdle(prepared)).toBe(true);
    for (const use of [{ held: true }, { local: 1 }, { attached: true }]) {
      expect(isIdle({ ...prepared, ...use })).toBe(false);
    }
  });
});
