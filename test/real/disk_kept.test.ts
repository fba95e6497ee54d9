/**
 * Disks that were set up, by Debian's script, by one that says nothing, and without any; and what becomes
 * of them behind the daemon's back: on Debian's xenstored and real loop devices. The kernel's part in the
 * store is played by hand.
 */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

setDefaultTimeout(60_000);

const DRIVER = 1;
const GUEST = 7;

/** Sees what is asked of it, and names its device without a word. */
const MUTE = `#!/bin/sh
set -eu
echo "$1" >> "$0.ran"
case $1 in
add)
  loop=$(losetup --find --show "$(xenstore-read "$XENBUS_PATH/params")")
  xenstore-write "$XENBUS_PATH/node" "$loop"
  xenstore-write "$XENBUS_PATH/physical-device" "$(stat -c %t:%T "$loop")"
  ;;
remove) losetup -d "$(xenstore-read "$XENBUS_PATH/node")" ;;
esac
`;

const needs = { packages: [...xenstoredPackages, "xen-utils-common", "mount"], root: true };
if (requireReal("disks that are kept", needs)) {
  describe("disks that are kept", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let daemon: DaemonProcess;
    let device: HandMadeDevice;
    let image: string;

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, GUEST]) await makeDomain(dom0, domid);
      directory = fs.mkdtempSync(join(tmpdir(), "xdevd-disks-"));
      for (const way of ["always", "never"]) {
        const text = `[plugins.vbd.settings]\nnative = "${way}"\n`;
        fs.writeFileSync(join(directory, `${way}.toml`), text, { mode: 0o644 });
      }
      fs.writeFileSync(join(directory, "block-mute"), MUTE, { mode: 0o755 });
      image = join(directory, "image");
      fs.writeFileSync(image, new Uint8Array(64 * 1024));
      device = new HandMadeDevice(dom0, {
        ...{ backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: 51712 },
      });
    });

    afterEach(async () => {
      if (await device.read("state") !== undefined) {
        await device.detach();
        await device.gone();
      }
      await device.nuke();
      await daemon.stop();
      fs.rmSync(join(directory, "block-mute.ran"), { force: true });
      expect(losetup("-a")).not.toContain(directory);
    });

    afterAll(async () => {
      dom0.close();
      await store.stop();
      fs.rmSync(directory, { recursive: true });
    });

    const losetup = (...args: string[]) => spawnSync("losetup", args, { encoding: "utf8" }).stdout;
    const loop = () => losetup("-j", image).split(":")[0]!;

    async function start(native: "always" | "never"): Promise<void> {
      daemon = await DaemonProcess.start([
        ...["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")],
        ...["--config", join(directory, `${native}.toml`), "--time", "check=0.2"],
        ...["--scripts", "/etc/xen/scripts", "--scripts", directory],
      ]);
    }

    async function attach(script = "/etc/xen/scripts/block"): Promise<void> {
      await device.create({ script, params: image });
      await device.write("state", "2");
      await device.reaches("hotplug-status", "connected");
      await device.write("state", "4");
      await daemon.says(/vbd\/7\/51712\): connected/);
    }

    const told = (text: string) => daemon.lines("warning").filter((line) => line.includes(text));
    /** Several checks. */
    const pause = () => new Promise((resolve) => setTimeout(resolve, 1_000));
    const isTold = async (text: string) => {
      await until(() => told(text).length > 0, () => `never told: ${text}\n${daemon.log}`);
      await pause();
      expect(told(text)).toHaveLength(1);
    };

    describe.each(["never", "always"] as const)("native %s", (native) => {
      test("its nodes are removed, or changed", async () => {
        await start(native);
        await attach();
        const number = await device.read("physical-device") ?? "";
        await pause();
        expect(told("")).toEqual([]);
        await dom0.remove(`${device.backend}/physical-device`);
        await device.reaches("physical-device", number);
        await isTold(`physical-device was removed: ${number} is written again`);
        await device.write("physical-device", "7:ff");
        await isTold(`physical-device says "7:ff" by now, not ${number}`);
        await device.write("physical-device", number);
        await daemon.says(/no longer so: physical-device says/);
        await dom0.remove(`${device.backend}/hotplug-status`);
        await device.reaches("hotplug-status", "connected");
        await isTold("hotplug-status was removed or changed: written again");
        expect(daemon.lines("error")).toEqual([]);
        expect(daemon.lines("vbd/7/51712): attach")).toHaveLength(1);
      });

      test("its loop device is detached", async () => {
        await start(native);
        await attach();
        losetup("-d", loop());
        await device.reaches("hotplug-error", /^its loop device \/dev\/loop\d+ was detached/);
        await device.reaches("state", "5");
      });

      test("its loop device is detached, and attached to another file at once", async () => {
        await start(native);
        await attach();
        const other = join(directory, "other");
        fs.writeFileSync(other, new Uint8Array(64 * 1024));
        const node = loop();
        // No check comes between the two.
        process.kill(daemon.pid, "SIGSTOP");
        losetup("-d", node);
        losetup(node, other);
        process.kill(daemon.pid, "SIGCONT");
        try {
          await device.reaches("hotplug-error", /is another one by now/);
          await device.detach();
          await device.gone();
          expect(losetup("-j", other)).toContain(node);
        } finally {
          losetup("-d", node);
        }
      });
    });

    test("a mute script's disk, which another daemon has set up: taken as it is, and completed", async () => {
      const node = losetup("--find", "--show", image).trim();
      const { rdev } = fs.statSync(node);
      await device.create({
        ...{ script: join(directory, "block-mute"), params: image, node, state: "4" },
        "physical-device": `7:${(rdev & 0xff).toString(16)}`,
      });
      await start("never");
      await daemon.says(/was set up before: adopted/);
      await device.reaches("hotplug-status", "connected");
      await pause();
      expect(fs.existsSync(join(directory, "block-mute.ran"))).toBeFalse();
      await device.detach();
      await device.gone();
      expect(fs.readFileSync(join(directory, "block-mute.ran"), "utf8")).toBe("remove\n");
    });

    test("a mute script's disk that no guest has connected yet, likewise", async () => {
      const node = losetup("--find", "--show", image).trim();
      const { rdev } = fs.statSync(node);
      await device.create({
        ...{ script: join(directory, "block-mute"), params: image, node, state: "2" },
        "physical-device": `7:${(rdev & 0xff).toString(16)}`,
      });
      await start("never");
      await device.reaches("hotplug-status", "connected");
      await pause();
      expect(fs.existsSync(join(directory, "block-mute.ran"))).toBeFalse();
      await device.detach();
      await device.gone();
      expect(fs.readFileSync(join(directory, "block-mute.ran"), "utf8")).toBe("remove\n");
    });
  });
}
