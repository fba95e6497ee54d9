/** `npm run demo -- --real`. */
import { expect, test } from "bun:test";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { runProgram } from "../support/daemon_process.ts";
import { fullCommand } from "../support/full_only.ts";

const demo = () => runProgram(["demo", "--real"], {}, 60_000, fullCommand("demo --real"));

const needs = { packages: [...xenstoredPackages, "xen-utils-common", "mount"], root: true };
if (requireReal("the demonstration on real parts", needs)) {
  test("the demonstration on Debian's xenstored, script, and a loop device", async () => {
    const { code, stdout, stderr } = await demo();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/script +backend\/physical-device = 7:\d+/);
    expect(stdout).toMatch(/guest +reads 4096 bytes through 7:\d+: the image's own/);
    expect(stdout).toMatch(/demo +nothing is left/);
  });

  test("it detaches when the daemon is done, however slow the script is", async () => {
    const load = Array.from(
      { length: 3 },
      () => Bun.spawn(["sh", "-c", "while :; do :; done"], { stdout: "ignore" }),
    );
    try {
      for (let run = 0; run < 5; run++) {
        const { code, stdout, stderr } = await demo();
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
        expect(stdout).not.toMatch(/being stopped|aborting/);
        const setUp = stdout.search(/daemon +xvda \(vbd\/7\/51712\): set up\n/);
        expect(setUp).toBeGreaterThan(0);
        expect(setUp).toBeLessThan(stdout.search(/toolstack +backend\/online = 0/));
      }
    } finally {
      for (const child of load) child.kill("SIGKILL");
      await Promise.all(load.map(({ exited }) => exited));
    }
  }, 300_000);
}
