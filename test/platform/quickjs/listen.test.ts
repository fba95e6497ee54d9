/** The small binary's listener when it cannot accept; the host in C is stood in for, in a process of its own. */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";

const CHILD = new URL("./listen_child.ts", import.meta.url).pathname;

test("without a descriptor for a connection the listener does not try again at once, but soon", () => {
  const { stdout, stderr } = spawnSync(process.execPath, [CHILD], { encoding: "utf8" });
  expect(stderr).toBe("");
  const { tries, ms, accepted, after } = JSON.parse(stdout);
  // A second without descriptors, in turns that take no time.
  expect(ms).toBeGreaterThanOrEqual(1_000);
  expect(tries).toBeLessThan(50);
  expect(accepted).toBe(1);
  // Once it is stopped, nothing is left to wait for.
  expect(after).toBe(false);
});

test("nor does it go on when it is stopped meanwhile", () => {
  const { stdout, stderr } = spawnSync(process.execPath, [CHILD, "stop"], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({ after: false, watched: [] });
});
