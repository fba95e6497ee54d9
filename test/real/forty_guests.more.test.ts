/** Forty guests that boot at once: whoever finds no room waits for it, and none is told of an error. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { replay } from "../../core/daemon/journal/format.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, programCommand, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUESTS = Array.from({ length: 40 }, (_, number) => 20 + number);
const PATIENCE_MS = 120_000;

/** Takes its time, so that all run at once that may. */
const SCRIPT = `#!/bin/sh
case "$1" in
  add)
    sleep 0.5
    xenstore-write "$XENBUS_PATH/physical-device" 1:0 "$XENBUS_PATH/hotplug-status" connected;;
esac
exit 0
`;

const packages = [...xenstoredPackages, "mount"];
if (requireReal("forty guests at once", { packages, root: true })) {
  describe("forty guests that boot at once", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let daemon: DaemonProcess;

    beforeEach(async () => {
      store = await startXenstored({ domains: [DRIVER, ...GUESTS], args: ["--entry-nb=10000"] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, ...GUESTS]) await makeDomain(dom0, domid);
      directory = fs.mkdtempSync(join(tmpdir(), "xdevd-forty-"));
      fs.writeFileSync(join(directory, "block-own"), SCRIPT, { mode: 0o755 });
      const config = '[plugins.vbd.settings]\nnative = "always"\n';
      fs.writeFileSync(join(directory, "config.toml"), config, { mode: 0o644 });
    });

    afterEach(async () => {
      await daemon.stop("SIGKILL");
      dom0.close();
      await store.stop();
      fs.rmSync(directory, { recursive: true });
    });

    // As systemd's unit has it, and what others start programs with.
    for (const limit of [20_000, 1024]) {
      test(`each gets its two disks, with ${limit} descriptors`, async () => {
        daemon = await DaemonProcess.start([
          ...["--store", store.socketPath(DRIVER), "--scripts", directory],
          ...["--run-dir", join(directory, "run"), "--config", join(directory, "config.toml")],
        ], { command: ["sh", "-c", `ulimit -n ${limit}; exec "$@"`, "sh", ...programCommand()] });
        const devices = GUESTS.flatMap((guest) => {
          const image = join(directory, `image-${guest}`);
          fs.writeFileSync(image, new Uint8Array(16 * 1024));
          const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: guest };
          return [
            {
              device: new HandMadeDevice(dom0, { ...id, devid: 51712 }),
              nodes: { script: join(directory, "block-own"), params: String(guest) },
            },
            {
              device: new HandMadeDevice(dom0, { ...id, devid: 51728 }),
              nodes: { script: "/etc/xen/scripts/block", params: image },
            },
          ];
        });
        const seen = new Set<string>();
        await dom0.watch("/local/domain/1/backend", async (path) => {
          if (!path.endsWith("/hotplug-status")) return;
          seen.add(await dom0.readOptional(path) ?? "");
        });
        await Promise.all(
          devices.map(({ device, nodes }) => device.create({ ...nodes, state: "2" })),
        );
        for (const { device } of devices) {
          await device.reaches("hotplug-status", "connected", PATIENCE_MS);
          expect(await device.read("hotplug-error")).toBeUndefined();
        }
        expect([...seen].filter((status) => status !== "" && status !== "connected")).toEqual([]);
        expect(daemon.lines(" error ")).toEqual([]);
        for (const { device } of devices) await device.detach();
        for (const { device } of devices) {
          await until(
            async () => !await dom0.exists(device.backend),
            async () => `${JSON.stringify(await device.nodes())}\n${daemon.log}`,
            PATIENCE_MS,
          );
        }
        expect(await daemon.stop()).toBe(0);
        const journal = fs.readFileSync(join(directory, "run", `devd-${DRIVER}.journal`));
        expect(replay(new Uint8Array(journal)).entries.size).toBe(0);
        expect(spawnSync("losetup", ["-a"], { encoding: "utf8" }).stdout).not.toContain(directory);
      }, 400_000);
    }
  });
}
