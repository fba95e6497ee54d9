/** A device's record: what marks its processes, also where that cannot be written. */
import { expect, test } from "bun:test";
import { DeviceRecord } from "../../../core/daemon/device/device_record.ts";
import { OPERATION_VARIABLE } from "../../../core/daemon/device/orphans.ts";
import { MemoryJournal } from "../../../core/daemon/journal/memory.ts";
import { Releases } from "../../../core/daemon/releases.ts";

const ID = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };

/** A journal whose file may be full. */
class FullJournal extends MemoryJournal {
  full = false;
  override note(entry: Parameters<MemoryJournal["note"]>[0]): boolean {
    super.note(entry);
    return !this.full;
  }
}

function recorded() {
  const journal = new FullJournal();
  const releases = new Releases();
  const record = new DeviceRecord(ID, journal, releases);
  record.begin("id");
  return { journal, record, releases };
}

test("each operation has a mark of its own, and none has one when it has ended", () => {
  const { record } = recorded();
  const marks = [record.operation];
  for (const stage of ["undoing", "removing"] as const) {
    record.note(stage, undefined, null);
    marks.push(record.operation);
  }
  expect(new Set(marks).size).toBe(3);
  expect(marks).not.toContain(null);
  expect(record.leftOver).toBe(record.operation);
  expect(record.environment).toEqual({ [OPERATION_VARIABLE]: record.operation! });
  record.note("removed", undefined, null);
  expect([record.operation, record.leftOver, record.environment]).toEqual([null, null, {}]);
});

test("one that cannot be written bears what the next daemon knows: the attach id", () => {
  const { journal, record } = recorded();
  record.note("connected", undefined, null);
  // What the file says then, and for good.
  expect([record.operation, record.leftOver]).toEqual([null, "id"]);
  journal.full = true;
  record.note("removing", undefined, null);
  expect(record.operation).toBe("id");
  expect(record.environment).toEqual({ [OPERATION_VARIABLE]: "id" });
  record.note("removed", undefined, null);
  expect(record.operation).toBeNull();
});

test("whoever waits for what it holds is told with its end, written or not", async () => {
  for (const full of [false, true]) {
    const { journal, record, releases } = recorded();
    journal.full = full;
    let told = false;
    const wait = releases.ofAny(["vbd/7/51712"], journal, new AbortController().signal)
      .then(() => told = true);
    record.note("removing", undefined, null);
    await Promise.resolve();
    expect(told).toBeFalse();
    record.note("removed", undefined, null);
    await wait;
    expect(record.undo).toEqual({});
  }
});
