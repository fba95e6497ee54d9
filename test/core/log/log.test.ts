/** The log: one line an event, whatever is in it. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { configureLog, oneLineOfEnds, openLog, printable } from "../../../core/log/log.ts";

test("lines carry a time, a level and a subject; levels below are silent", () => {
  const lines: string[] = [];
  configureLog("info", (line) => lines.push(line));
  const log = openLog("vbd/7/1");
  log.debug("unheard");
  log.info("heard");
  log.error("bad {braces} %s");
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z info {4}vbd\/7\/1: heard\n$/);
  expect(lines[1]).toMatch(/ error {3}vbd\/7\/1: bad \{braces\} %s\n$/);
});

test.each(
  [
    ["debug", 4],
    ["info", 3],
    ["warning", 2],
    ["error", 1],
  ] as const,
)("at level %s, %d of four are said", (level, count) => {
  const lines: string[] = [];
  configureLog(level, (line) => lines.push(line));
  const log = openLog();
  log.debug("d");
  log.info("i");
  log.warning("w");
  log.error("e");
  expect(lines).toHaveLength(count);
});

test("any text is one line without control characters; harmless text is as it was", () => {
  const lines: string[] = [];
  configureLog("info", (line) => lines.push(line));
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    lines.length = 0;
    openLog(text).info(text);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^[^\p{Cc}\u2028\u2029]*\n$/u);
  }));
  fc.assert(fc.property(fc.stringMatching(/^[ -~äöü€]*$/), (text) => {
    expect(printable(text)).toBe(text);
  }));
});

test("nothing from elsewhere can forge a line or reach the terminal", () => {
  expect(printable("a\nb\r\x1b[31m\x00\x7f\u2028é")).toBe(
    "a\\x0ab\\x0d\\x1b[31m\\x00\\x7f\\x2028é",
  );
  // Right-to-left override and isolates, invisible marks, a tag.
  expect(printable("a\u202eb\u2066c\ufeff\u200f\u{e0041}")).toBe(
    "a\\x202eb\\x2066c\\xfeff\\x200f\\u{e0041}",
  );
  const lines: string[] = [];
  configureLog("info", (line) => lines.push(line));
  openLog().info("one\n2026-01-01 forged");
  expect(lines.join("").split("\n")).toHaveLength(2);
});

describe("a path that is too long for its place", () => {
  test.each([
    ["/short", 20, "/short"],
    ["/dev/disk/by-id/something/of/length", 20, "/dev/d…ing/of/length"],
    [`/${"x".repeat(100_000)}/web.img`, 20, "/xxxxx…xxxxx/web.img"],
    ["a\x1b[31m\nb", 20, "a\\x1b[31m b"],
    ["\x1b".repeat(20), 20, `\\x1b\\x…b${"\\x1b".repeat(3)}`],
    [`${"a".repeat(5)}😀${"b".repeat(20)}`, 20, `aaaaa…${"b".repeat(13)}`],
  ])("lacks its middle: %j in %d", (text, max, shown) => {
    expect(oneLineOfEnds(text, max)).toBe(shown);
  });
});
