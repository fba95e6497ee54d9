/** The session in docs/sandbox.md goes as it is written there, with the program under test. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DOCS } from "../../tools/docs/documents.ts";
import { lasting, record } from "../../tools/docs/recording.ts";
import { programCommand } from "../support/daemon_process.ts";

test("a session in the sandbox is the recorded one", async () => {
  const recorded = readFileSync(join(DOCS, "sandbox.md"), "utf8");
  expect(recorded).toContain("3 devices: 2 connected, 1 failed");
  expect(recorded).toMatch(/script +\S+\/scripts\/block add/);
  expect(lasting(await record(programCommand()))).toBe(lasting(recorded));
}, 180_000);

test("what is compared is all but times, sizes and columns", () => {
  expect(lasting("a  b 12.5 ms\n")).toBe(lasting("a b   3 ms\n"));
  expect(lasting("a b\n")).not.toBe(lasting("a c\n"));
  expect(lasting("xdevd_retries_total 0")).not.toBe(lasting("xdevd_retries_total 1"));
});
