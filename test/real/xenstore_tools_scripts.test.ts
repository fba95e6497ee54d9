/** Debian's block script with our xenstore tools in the place of Debian's. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, programBinary, programCommand } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const ID = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };

/** Puts a file in the place of each tool, for what it runs alone; $0 is the file. */
const IN_THEIR_PLACE = `
for tool in /usr/bin/xenstore /usr/bin/xenstore-*; do
  [ -L "$tool" ] || mount --bind "$0" "$tool" || exit 9
done
cmp -s "$0" /usr/bin/xenstore-read || exit 9
exec "$@"`;

const needs = { packages: [...xenstoredPackages, "xen-utils-common", "mount"], root: true };
if (requireReal("Debian's block script with our xenstore tools", needs)) {
  describe("Debian's block script with our xenstore tools", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let daemon: DaemonProcess;
    let directory: string;

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), "xdevd-tools-"));
      const binary = programBinary(directory);
      store = await startXenstored({ domains: [ID.backendDomid, ID.frontendDomid] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [ID.backendDomid, ID.frontendDomid]) await makeDomain(dom0, domid);
      daemon = await DaemonProcess.start(
        ["--store", store.socketPath(ID.backendDomid), "--run-dir", join(directory, "run")],
        {
          command: [
            "/usr/bin/unshare",
            "-m",
            "sh",
            "-c",
            IN_THEIR_PLACE,
            binary,
            ...programCommand(),
          ],
        },
      );
    });

    afterAll(async () => {
      expect(await daemon.stop()).toBe(0);
      dom0.close();
      await store.stop();
      await rm(directory, { recursive: true });
    });

    test("a disk is attached and detached", async () => {
      const image = join(directory, "image");
      await writeFile(image, new Uint8Array(256 * 1024));
      const device = new HandMadeDevice(dom0, ID);
      await device.create({
        script: "/etc/xen/scripts/block",
        type: "file",
        params: image,
        mode: "w",
      });
      await device.write("state", "2");
      await device.reaches("hotplug-status", "connected");
      expect(await device.read("node")).toMatch(/^\/dev\/loop\d+$/);
      expect(await device.read("physical-device")).toMatch(/^7:[0-9a-f]+$/);
      await device.detach();
      await device.gone();
      const loops = Bun.spawnSync(["losetup", "-a"]).stdout.toString();
      expect(loops).not.toContain(directory);
    });
  });
}
