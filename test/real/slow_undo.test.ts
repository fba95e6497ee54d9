/** The undo of a failed setup hangs, and the toolstack's patience is not longer for that. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;

if (requireReal("an undo that hangs", { packages: [...xenstoredPackages], root: true })) {
  describe("the undo of a failed setup hangs", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let daemon: DaemonProcess;
    let directory: string;
    let options: string[];

    beforeEach(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      await makeDomain(dom0, DRIVER);
      await makeDomain(dom0, GUEST);
      directory = await mkdtemp(join(tmpdir(), "xdevd-undo-"));
      options = [
        ...["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")],
        ...["--scripts", directory, "--time", "budget=1"],
      ];
      daemon = await DaemonProcess.start(options);
    });

    afterEach(async () => {
      expect(await daemon.stop()).toBe(0);
      dom0.close();
      await store.stop();
      await rm(directory, { recursive: true });
    });

    /** A script whose add does something, and whose first remove hangs. */
    async function attach(kind: "vbd" | "vif", add: string): Promise<HandMadeDevice> {
      const script = join(directory, "hangs");
      // A vif is asked to go offline.
      await writeFile(
        script,
        `#!/bin/sh
case "$1" in
  add|online) ${add};;
esac
echo "$(xenstore-read "$XENBUS_PATH/params") of $XENBUS_PATH" >> ${directory}/undone
[ -e ${directory}/hung ] && exit 0
touch ${directory}/hung
sleep 60
`,
        { mode: 0o755 },
      );
      const id = { backendDomid: DRIVER, kind, frontendDomid: GUEST, devid: 1 };
      const device = new HandMadeDevice(dom0, id);
      await device.create({
        ...{ script, params: "a tape", vifname: "none", mac: "00:16:3e:00:00:01" },
        ...(kind === "vif" ? { type: "vif", bridge: "none" } : {}),
      });
      await device.write("state", "2");
      return device;
    }

    const exists = (name: string) => Bun.file(join(directory, name)).exists();
    const undone = async () =>
      (await readFile(join(directory, "undone"), "utf8").catch(() => "")).trim().split("\n");
    const hangs = () => until(() => exists("hung"), () => daemon.log);

    for (const kind of ["vbd", "vif"] as const) {
      test(`${kind}: the directory goes, and the script is given a copy of it`, async () => {
        const device = await attach(kind, "exit 3");
        await hangs();
        // The toolstack asks; the backend, which never worked, is closed by the daemon.
        await device.write("online", "0");
        await device.write("state", "5");
        await device.gone();
        await daemon.says(/: removed/);
        expect(await undone()).toEqual([
          expect.stringMatching(/^a tape of backend\//),
          expect.stringMatching(/^a tape of data\/xdevd\/backend\//),
        ]);
        const lines = daemon.lines("status 3");
        expect(lines.length).toBeGreaterThan(0);
        expect(daemon.log).toMatch(/undoing it takes long/);
      });
    }

    test("its record stays until it has ended: another daemon undoes it", async () => {
      const device = await attach("vbd", "exit 3");
      await hangs();
      await rm(join(directory, "hung"));
      await device.detach();
      await device.gone();
      await hangs();
      await daemon.stop("SIGKILL");
      daemon = await DaemonProcess.start([...options, "--time", "orphans=0"]);
      await daemon.says(/: removed/);
      expect(await undone()).toHaveLength(3);
    });

    test("an undo that is to be followed by a new setup: the same", async () => {
      const device = await attach("vbd", `touch ${directory}/added; sleep 60`);
      await until(() => exists("added"), () => daemon.log);
      await daemon.stop("SIGKILL");
      daemon = await DaemonProcess.start([...options, "--time", "orphans=0"]);
      await hangs();
      await device.detach();
      await device.gone();
      await daemon.says(/: removed/);
      expect(await undone()).toHaveLength(2);
    });
  });
}
