/** The small binary for another kind of machine: made here, and run by an emulator of its processor. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SMALL } from "../../compile/binaries.ts";
import { tryOut } from "../../compile/check/check.ts";
import { targetsNamed } from "../../compile/targets.ts";
import { requireReal } from "../real/requirements.ts";

const directory = mkdtempSync(join(tmpdir(), "xdevd-arm64-"));
afterAll(() => rmSync(directory, { recursive: true }));

const lacking = process.arch === "x64" ? null : "an x64 machine, whose emulator Debian has";
if (
  requireReal("the small binary for arm64", { packages: ["gcc-aarch64-linux-gnu"], lacking })
) {
  test("version, store tools, the test of a store, the demonstration", async () => {
    const [target] = targetsNamed("linux-arm64");
    const outfile = join(directory, "xdevd-linux-arm64");
    await SMALL.build({ outfile, plugins: ["vbd", "vif"], target: target! });
    const how = await tryOut({ binary: SMALL, target: target! }, outfile, directory);
    expect(how).toBe("runs, in qemu-user");
  }, 300_000);
}
