/** The end of a log that others write. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HelperLog } from "../../core/hotplug/run_script.ts";
import { systemLogTails, TAIL_MAX } from "../../platform/io/log_tail.ts";

let directory: string;
let log: string;
const { mark, since } = systemLogTails;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "xdevd-tail-"));
  log = join(directory, "log");
  writeFileSync(log, "before\n");
});
afterAll(() => rmSync(directory, { recursive: true }));

test("what was added since, and nothing else", async () => {
  const begin = mark(log);
  expect(await since(log, begin)).toBeNull();
  appendFileSync(log, "one\ntwo\n");
  expect(await since(log, begin)).toBe("one\ntwo\n");
});

test("of much, whole lines of the end", async () => {
  const begin = mark(log);
  appendFileSync(log, `${"x".repeat(TAIL_MAX)}\nlast\n`);
  expect(await since(log, begin)).toBe("last\n");
});

test("all of a file that was rotated, emptied, or is new", async () => {
  const begin = mark(log);
  renameSync(log, `${log}.1`);
  expect(await since(log, begin)).toBeNull();
  writeFileSync(log, "new\n");
  expect(await since(log, begin)).toBe("new\n");
  const longer = mark(log);
  writeFileSync(log, "n\n");
  expect(await since(log, longer)).toBe("n\n");
  expect(await since(log, null)).toBe("n\n");
});

test("no link, no pipe, no directory", async () => {
  const link = join(directory, "link");
  symlinkSync(log, link);
  const pipe = join(directory, "pipe");
  execFileSync("mkfifo", [pipe]);
  for (const path of [link, pipe, directory, join(directory, "none")]) {
    expect(mark(path)).toBeNull();
    expect(await since(path, null)).toBeNull();
  }
});

test("a line is one script's own only if no other ran meanwhile", async () => {
  const helpers = new HelperLog(systemLogTails, log);
  const one = await helpers.during(async (added) => {
    appendFileSync(log, "mine\n\nlogger: socket /dev/log: No such file or directory\n");
    return await added();
  });
  expect(one).toEqual({ line: "mine", own: true });
  const held = Promise.withResolvers<void>();
  const other = helpers.during(() => held.promise);
  const two = await helpers.during(async (added) => {
    appendFileSync(log, "whose?\n");
    return await added();
  });
  held.resolve();
  await other;
  expect(two).toEqual({ line: "whose?", own: false });
  const three = await helpers.during(async (added) => {
    await helpers.during(async () => {});
    return await added();
  });
  expect(three).toEqual({ line: null, own: false });
});
