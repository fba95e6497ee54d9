/** What is removed with all that is in it never takes along what is mounted there. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Removal } from "../platform/remove_mounted_child.ts";
import { requireReal } from "./requirements.ts";

const child = join(import.meta.dir, "../platform/remove_mounted_child.ts");

if (requireReal("removals beside mounts", { packages: ["util-linux"], root: true })) {
  test("a directory with a mount in it stays as it is", async () => {
    const scratch = mkdtempSync(join(tmpdir(), "xdevd-remove-"));
    const unshare = ["unshare", "--mount", "--propagation", "private"];
    const run = Bun.spawnSync([...unshare, process.execPath, child, scratch]);
    expect(run.stderr.toString()).toBe("");
    const outcomes = JSON.parse(run.stdout.toString()) as Removal[];
    expect(outcomes).toHaveLength(9);
    for (const { what, code, kept, there, whole } of outcomes) {
      const free = ["nothing mounted", "a link"].includes(what);
      expect({ what, code, kept, there, whole }).toEqual({
        what,
        code: free ? null : "EBUSY",
        kept: true,
        there: !free,
        whole: !free,
      });
    }
    rmSync(scratch, { recursive: true });
  });
}
