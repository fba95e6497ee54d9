/** Binaries for a machine that is named: the small one for arm64, by an emulator; the full one, with npm's runtime. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FULL, SMALL } from "../../compile/binaries.ts";
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

if (requireReal("the full binary of a target", { lacking })) {
  test("the full one, with the runtime that npm has for the target", async () => {
    const [target] = targetsNamed("linux-x64");
    const outfile = join(directory, "xdevd-full-linux-x64");
    await FULL.build({ outfile, plugins: ["vbd"], target: target! });
    expect(await tryOut({ binary: FULL, target: target! }, outfile, directory)).toStartWith("runs");
  }, 300_000);
}
