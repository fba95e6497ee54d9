/** Of two hundred devices on the real store, ten of which fail in ten ways, `status` names each cause. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, runProgram, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { type Fault, faultTimes, makeFaults, makeFaulty } from "../support/ten_faults.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

setDefaultTimeout(300_000);

const DRIVER = 1;
const GUESTS = Array.from({ length: 20 }, (_, number) => 10 + number);
const DISKS = 10;

if (requireReal("status of many devices", { packages: xenstoredPackages, root: true })) {
  describe("status of many devices", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let daemon: DaemonProcess;
    let faults: readonly Fault[];
    let run: string[];

    beforeAll(async () => {
      directory = await fs.mkdtemp(join(tmpdir(), "xdevd-many-"));
      const scripts = join(directory, "scripts");
      await fs.mkdir(scripts, { mode: 0o755 });
      faults = await makeFaults(scripts, "/usr/sbin:/usr/bin:/sbin:/bin");
      store = await startXenstored({
        domains: [DRIVER, ...GUESTS],
        // For less than a hundred disks otherwise, and ten scripts that write at the same time.
        args: ["--entry-nb", "1000000", "--transaction", "1000", "--quota", "memory=1000000000"],
      });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, ...GUESTS]) await makeDomain(dom0, domid);
      run = ["--run-dir", join(directory, "run")];
      daemon = await DaemonProcess.start([
        ...["--store", store.socketPath(DRIVER), "--scripts", scripts, ...run, ...faultTimes(30)],
      ], { quiet: true });
      const script = join(scripts, "block-good");
      const all = GUESTS.flatMap((frontendDomid, guest) =>
        Array.from({ length: DISKS }, async (_, disk) => {
          const of = { backendDomid: DRIVER, frontendDomid, devid: 51712 + 16 * disk };
          // Each of ten guests has one that fails.
          const fault = disk === 3 ? faults[guest] : undefined;
          if (fault !== undefined) return void await makeFaulty(dom0, of, fault);
          const device = new HandMadeDevice(dom0, { ...of, kind: "vbd" });
          await device.create({ script, params: `/images/${frontendDomid}-${disk}`, state: "2" });
        })
      );
      await Promise.all(all);
    });

    afterAll(async () => {
      await daemon.stop();
      dom0.close();
      await store.stop();
      await fs.rm(directory, { recursive: true, force: true });
    });

    const status = (...args: string[]) => runProgram(["status", ...args, ...run], {}, 60_000);

    test("each cause is named, with the device that it is of; nothing is said of the others", async () => {
      let text = "";
      await until(
        async () => /190 ready, 10 failed/.test(text = (await status()).stdout),
        () => `${text.slice(-3000)}\n${daemon.log.slice(-3000)}`,
        90_000,
      );
      const [, failed = ""] = /\nfailed:\n([^]*?)\n\n/.exec(text) ?? [];
      const lines = failed.split("\n");
      expect(lines).toHaveLength(faults.length);
      for (const [index, { cause }] of faults.entries()) {
        const line = lines.find((line) => line.includes(`xvdd (vbd/${GUESTS[index]}/51760)`));
        expect(line).toMatch(cause);
      }
      expect(text.split("\n").filter((line) => /^\d+ +xvd/.test(line))).toHaveLength(200);
    });

    test("its counters are what the traces of all devices add up to", async () => {
      const { askDaemon } = await import("../../commands/devd/control_client.ts");
      const { devices } = await askDaemon<{ devices: { device: string }[] }>(run[1]!, "List");
      const report = await askDaemon<{
        operations: {
          operation: string;
          succeeded: number;
          failed: number;
          duration: { count: number; sumMs: number };
        }[];
        failures: { code: string; count: number }[];
      }>(run[1]!, "Report");
      const outcomes: { outcome: string; durationMs: number }[] = [];
      for (const { device } of devices) {
        const described = await askDaemon<{ history: typeof outcomes }>(run[1]!, "Describe", {
          device,
        });
        outcomes.push(...described.history);
      }
      const done = outcomes.filter(({ outcome }) => outcome === "done");
      const [attaches] = report.operations;
      expect(attaches).toMatchObject({ operation: "attach", succeeded: 190, failed: 10 });
      expect(done).toHaveLength(190);
      const sum = done.reduce((total, { durationMs }) => total + durationMs, 0);
      // Each is rounded to tenths.
      expect(Math.abs(attaches!.duration.sumMs - sum)).toBeLessThan(190 * 0.05 + 0.1);
      expect(report.failures.reduce((total, { count }) => total + count, 0)).toBe(10);
    });
  });
}
