/**
 * `xdevd doctor` where storage does not answer: it says what it could not look at, and comes to an end; and
 * where the run directory is full, or cannot be written to.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { programCommand, runProgram } from "../support/daemon_process.ts";
import { DeadStorage } from "../support/dead_storage/dead_storage.ts";
import { startEmbeddedStore } from "../support/embedded_store.ts";
import { connectTo } from "../support/store_connection.ts";
import { createDomainHome } from "../../simulation/domains.ts";
import { requireReal } from "./requirements.ts";

const DRIVER = 1;

/** A look takes 10 s at most; this machine may be busy. */
const PATIENCE_MS = 60_000;

if (requireReal("the doctor where storage does not answer", { root: true })) {
  test.each(["lookup", "all"] as const)("dead: %s", async (silence) => {
    const store = await startEmbeddedStore([DRIVER]);
    const dom0 = await connectTo(store.socketPath(0));
    await createDomainHome(dom0, { domid: DRIVER, driverDomain: true });
    const storage = await DeadStorage.start();
    try {
      storage.silence(silence);
      const { code, stdout } = await runProgram(
        [
          ...["doctor", "--json", "--store", store.socketPath(DRIVER)],
          ...["--scripts", `${storage.mountPoint}/scripts`],
          ...["--run-dir", `${storage.mountPoint}/run`],
        ],
        {},
        PATIENCE_MS,
      );
      const findings: { check: string; state: string; message: string }[] =
        JSON.parse(stdout).findings;
      const of = (wanted: string) => findings.find(({ check }) => check === wanted);
      for (const check of ["scripts", "programs", "run-directory", "daemon"]) {
        expect(of(check)).toEqual({
          check,
          state: "unknown",
          message: expect.stringContaining("nothing has answered within 10 s"),
        });
      }
      // What lies elsewhere is looked at all the same.
      for (const check of ["store", "rights", "quota", "configuration", "plugins"]) {
        expect(of(check)).toMatchObject({ check, state: "ok" });
      }
      expect([1, 16, 17]).toContain(code!);
    } finally {
      await storage.end();
      dom0.close();
      await store.stop();
    }
  }, 2 * PATIENCE_MS);

  test.each([
    ["full", "size=64k", /^256 KiB cannot be written to \S+: ENOSPC.*Repair: make room there/m],
    ["read-only", "ro", /^256 KiB cannot be written to \S+: EROFS.*Repair: mount its file system/m],
  ])("a run directory that is %s", async (_, options, line) => {
    const directory = mkdtempSync(join(tmpdir(), "xdevd-doctor-run-"));
    try {
      const [file, ...before] = programCommand();
      // In a mount namespace that ends with the program.
      const script = 'mount -t tmpfs -o mode=755,"$1" none "$2" && shift 2 && exec "$@"';
      const { stdout } = await runProgram(
        ["-c", script, "sh", options, directory, file, ...before, "doctor", "--run-dir", directory],
        {},
        PATIENCE_MS,
        ["unshare", "-m", "sh"],
      );
      const [found] = stdout.match(/(?<=^failure +run-directory +).*/m) ?? [];
      expect(found?.trim() ?? stdout).toMatch(line);
    } finally {
      rmdirSync(directory);
    }
  }, 2 * PATIENCE_MS);
}
