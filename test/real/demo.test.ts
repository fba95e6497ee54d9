/** `npm run demo -- --real`. */
import { expect, test } from "bun:test";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { runProgram } from "../support/daemon_process.ts";

const needs = { packages: [...xenstoredPackages, "xen-utils-common", "mount"], root: true };
if (requireReal("the demonstration on real parts", needs)) {
  test("the demonstration on Debian's xenstored, script, and a loop device", async () => {
    const { code, stdout, stderr } = await runProgram(["demo", "--real"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/script +backend\/physical-device = 7:\d+/);
    expect(stdout).toMatch(/guest +reads 4096 bytes through 7:\d+: the image's own/);
    expect(stdout).toMatch(/demo +nothing is left/);
  });
}
