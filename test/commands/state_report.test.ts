/** What USR1 has the daemon say. */
import { expect, test } from "bun:test";
import { duration, stateLines } from "../../commands/devd/state_report.ts";
import type { DeviceReport } from "../../core/daemon/devices.ts";

const report = (devid: number, more: Partial<DeviceReport> = {}): DeviceReport => ({
  label: `vbd/7/${devid}`,
  phase: "connected",
  phaseMs: 1000,
  busy: false,
  error: null,
  stuck: null,
  ...more,
});

test("what is the matter comes first; a line each", () => {
  const lines = stateLines([
    report(3),
    report(2, { phase: "waiting", phaseMs: 90_000 }),
    report(1, { phase: "adding", busy: true }),
    report(4, { phase: "failed", error: "no such pool" }),
  ], 2);
  expect(lines).toEqual([
    "state of all devices: 4 known, 2 set up or half so",
    "vbd/7/4: could not be set up; the toolstack is to remove it, for 1 s; last error: no such pool",
    "vbd/7/1: being set up, for 1 s; a call of its plugin runs",
    "vbd/7/2: waits for the kernel's backend to be ready, for 1 min 30 s",
    "vbd/7/3: set up, for 1 s",
  ]);
});

test("lines, and what a script has said, are bounded", () => {
  const many = Array.from(
    { length: 1_500 },
    (_, devid) => report(devid, { error: "x".repeat(5_000) }),
  );
  const lines = stateLines(many, 0);
  expect(lines).toHaveLength(1_002);
  expect(lines.at(-1)).toBe("… and 500 more");
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(500);
});

test("times are for people", () => {
  const texts = [0, 999, 61_000, 3_600_000, 90_061_000].map(duration);
  expect(texts).toEqual(["0.0 s", "1.0 s", "1 min 1 s", "1 h 0 min", "1 d 1 h"]);
});
