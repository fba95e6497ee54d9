/** The README's first command, whole. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { runProgram } from "../support/daemon_process.ts";

test("the demonstration attaches, shows, detaches, and leaves nothing", async () => {
  const { code, stdout, stderr } = await runProgram(["demo"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  // Everybody's part, in the order in which one depends on the other.
  const steps = [
    /kernel +backend\/state = 2/,
    /daemon +vbd\/7\/51712: runs .*block-demo add/,
    /script +backend\/physical-device-path = /,
    /script +backend\/hotplug-status = connected/,
    /kernel +backend\/state = 4/,
    /guest +frontend\/state = 4/,
    /guest +reads 4096 bytes .*the image's own/,
    /toolstack +backend\/online = 0/,
    /kernel +backend\/state = 6/,
    /daemon +vbd\/7\/51712: runs .*block-demo remove/,
    /daemon +backend deleted/,
    /demo +nothing is left/,
  ];
  // The last occurrence of each: two sources of lines may change places where times are equal.
  for (const step of steps) expect(stdout).toMatch(step);
  const at = (step: RegExp) => stdout.search(step);
  for (const [before, after] of [[0, 4], [2, 4], [4, 5], [6, 8], [8, 10], [10, 11]] as const) {
    expect(at(steps[before]!)).toBeLessThan(at(steps[after]!));
  }
  expect(stdout).toMatch(/attached in \d+ ms, detached in \d+ ms\n$/);
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith("xdevd-demo-"))).toEqual([]);
});
