/**
 * The small binary needs no memory that is written and then run, so its service can be kept from having any:
 * the kernel refuses it here as systemd's MemoryDenyWriteExecute= does.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtIns } from "../../built_in.ts";
import { buildSmall } from "../../compile/small/link.ts";
import { requireReal } from "../real/requirements.ts";

/** prctl(2): PR_SET_MDWE is 65, PR_MDWE_REFUSE_EXEC_GAIN 1; children inherit it. Since Linux 6.3. */
const REFUSING = `#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv) {
  if (prctl(65, 1L, 0L, 0L, 0L) != 0) { perror("prctl"); return 99; }
  execv(argv[1], argv + 1);
  perror(argv[1]);
  return 98;
}
`;

const directory = mkdtempSync(join(tmpdir(), "xdevd-write-exec-"));
const refusing = join(directory, "refusing");
afterAll(() => rmSync(directory, { recursive: true }));

function under(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(refusing, argv, {
    encoding: "utf8",
    timeout: 120_000,
  });
  return { status, stdout, stderr };
}

const [major = 0, minor = 0] = readFileSync("/proc/sys/kernel/osrelease", "utf8").split(".")
  .map(Number);
const needs = {
  packages: ["gcc", "libc6-dev"],
  lacking: major > 6 || major === 6 && minor >= 3 ? null : "Linux 6.3, which can refuse it",
};
if (requireReal("memory that is written and then run", needs)) {
  beforeAll(() => {
    writeFileSync(join(directory, "refusing.c"), REFUSING);
    const made = spawnSync("gcc", ["-o", refusing, join(directory, "refusing.c")]);
    expect(made.stderr.toString()).toBe("");
  });

  test("the small binary serves without it", async () => {
    const outfile = join(directory, "xdevd");
    await buildSmall({ outfile, plugins: builtIns.map(({ manifest }) => manifest.name) });
    const { status, stdout, stderr } = under(outfile, "demo");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain("nothing is left");
  }, 180_000);

  test("the runtime of the full one does not: it is refused here", () => {
    const { status } = under(process.execPath, "main.ts", "--version", "--json");
    expect(status).not.toBe(0);
    expect([98, 99]).not.toContain(status);
  }, 60_000);
}
