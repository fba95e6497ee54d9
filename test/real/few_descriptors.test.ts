/** A daemon that may open few files only: attaches fail with one line, detaches are done, nothing leaks. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs/promises";
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
const GUESTS = [7, 8, 9, 10];
const DEVICES_EACH = 4;
const PATIENCE_MS = 60_000;

/** Takes its time, so that many run at once; what it sets up is a file. */
const SCRIPT = `#!/bin/sh
here=$(dirname "$0")
name=$(xenstore-read "$XENBUS_PATH/params")
case "$1" in
  add)
    touch "$here/$name"
    sleep 0.4
    xenstore-write "$XENBUS_PATH/physical-device" 1:0 "$XENBUS_PATH/hotplug-status" connected;;
  remove) sleep 0.2; rm -f "$here/$name";;
esac
exit 0
`;

if (requireReal("a daemon with few descriptors", { packages: xenstoredPackages, root: true })) {
  describe("a daemon with few descriptors", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let daemon: DaemonProcess;

    beforeEach(async () => {
      store = await startXenstored({ domains: [DRIVER, ...GUESTS] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, ...GUESTS]) await makeDomain(dom0, domid);
      directory = await fs.mkdtemp(join(tmpdir(), "xdevd-few-"));
      await fs.writeFile(join(directory, "block-own"), SCRIPT, { mode: 0o755 });
    });

    afterEach(async () => {
      await daemon.stop("SIGKILL");
      dom0.close();
      await store.stop();
      await fs.rm(directory, { recursive: true, force: true });
    });

    const start = async (limit: number) => {
      daemon = await DaemonProcess.start([
        ...["--store", store.socketPath(DRIVER), "--scripts", directory],
        ...["--run-dir", join(directory, "run"), "--time", "retry=0.2"],
      ], {
        command: ["/bin/sh", "-c", `ulimit -n ${limit}; exec "$@"`, "sh", ...programCommand()],
      });
    };
    const open = async () => (await fs.readdir(`/proc/${daemon.pid}/fd`)).length;
    const left = async () =>
      (await fs.readdir(directory)).filter((name) => name.startsWith("disk-"));
    const records = async () =>
      replay(new Uint8Array(await fs.readFile(join(directory, "run", `devd-${DRIVER}.journal`))))
        .entries.size;

    for (const limit of [40, 60, 256]) {
      test(`${limit} of them: each is set up or refused in one line, all are undone`, async () => {
        await start(limit);
        // What is open for good is open after the first round.
        let before = 0;
        for (let round = 0; round < 2; round++) {
          const devices = GUESTS.flatMap((frontendDomid) =>
            Array.from({ length: DEVICES_EACH }, (_, number) =>
              new HandMadeDevice(dom0, {
                ...{ backendDomid: DRIVER, kind: "vbd", frontendDomid },
                devid: 51712 + 16 * number,
              }))
          );
          await Promise.all(devices.map(({ id }, number) =>
            devices[number]!.create({
              ...{ script: join(directory, "block-own"), state: "2" },
              params: `disk-${id.frontendDomid}-${id.devid}`,
            })
          ));
          const statuses: (string | undefined)[] = [];
          for (const device of devices) {
            await device.reaches("hotplug-status", /^(connected|error)$/, PATIENCE_MS);
            const status = await device.read("hotplug-status");
            statuses.push(status);
            if (status !== "error") continue;
            expect(await device.read("hotplug-error")).toMatch(
              /^[^\n]*(too few file descriptors|EMFILE|too many open files)[^\n]*$/i,
            );
          }
          if (limit === 256) expect(new Set(statuses)).toEqual(new Set(["connected"]));
          for (const device of devices) await device.detach();
          for (const device of devices) {
            await until(
              async () => !await dom0.exists(device.backend),
              async () => `${JSON.stringify(await device.nodes())}\n${daemon.log}`,
              PATIENCE_MS,
            );
          }
          await until(async () => await records() === 0, () => daemon.log, PATIENCE_MS);
          expect(await left()).toEqual([]);
          if (round === 0) before = await open();
        }
        expect(daemon.running).toBeTrue();
        await until(async () => await open() <= before + 2, async () => `${await open()} open`);
        expect(await daemon.stop()).toBe(0);
      }, 300_000);
    }
  });
}
