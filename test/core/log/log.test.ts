/** The log: one line an event, whatever is in it. */
import { expect, test } from "bun:test";
import { configureLog, openLog, printable } from "../../../core/log/log.ts";

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

test("nothing from elsewhere can forge a line or reach the terminal", () => {
  expect(printable("a\nb\r\x1b[31m\x00\x7f\u2028é")).toBe(
    "a\\x0ab\\x0d\\x1b[31m\\x00\\x7f\\x2028é",
  );
  const lines: string[] = [];
  configureLog("info", (line) => lines.push(line));
  openLog().info("one\n2026-01-01 forged");
  expect(lines.join("").split("\n")).toHaveLength(2);
});
