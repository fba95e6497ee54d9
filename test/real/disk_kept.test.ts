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
import { join } from "node:path";
import type { HandMadeDevice } from "../support/hand_made.ts";
import { KeptDevice } from "./kept.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";

setDefaultTimeout(60_000);

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
    let kept: KeptDevice;
    let device: HandMadeDevice;
    let image: string;

    beforeAll(async () => {
      kept = await KeptDevice.make("vbd", 51712);
      ({ device } = kept);
      fs.writeFileSync(join(kept.directory, "block-mute"), MUTE, { mode: 0o755 });
      image = join(kept.directory, "image");
      fs.writeFileSync(image, new Uint8Array(64 * 1024));
    });

    afterEach(async () => {
      if (await device.read("state") !== undefined) {
        await device.detach();
        await device.gone();
      }
      await device.nuke();
      await kept.daemon.stop();
      fs.rmSync(join(kept.directory, "block-mute.ran"), { force: true });
      expect(losetup("-a")).not.toContain(kept.directory);
    });

    afterAll(() => kept.stop());

    const losetup = (...args: string[]) => spawnSync("losetup", args, { encoding: "utf8" }).stdout;
    const loop = () => losetup("-j", image).split(":")[0]!;

    const start = (native: "always" | "never") =>
      kept.start(native, ["--scripts", "/etc/xen/scripts", "--scripts", kept.directory]);

    async function attach(script = "/etc/xen/scripts/block"): Promise<void> {
      await device.create({ script, params: image });
      await device.write("state", "2");
      await kept.connect();
    }

    describe.each(["never", "always"] as const)("native %s", (native) => {
      test("its nodes are removed, or changed", async () => {
        await start(native);
        await attach();
        const number = await device.read("physical-device") ?? "";
        await kept.pause();
        expect(kept.told("")).toEqual([]);
        await kept.dom0.remove(`${device.backend}/physical-device`);
        await device.reaches("physical-device", number);
        await kept.isTold(`physical-device was removed: ${number} is written again`);
        await device.write("physical-device", "7:ff");
        await kept.isTold(`physical-device says "7:ff" by now, not ${number}`);
        await device.write("physical-device", number);
        await kept.daemon.says(/no longer so: physical-device says/);
        await kept.dom0.remove(`${device.backend}/hotplug-status`);
        await device.reaches("hotplug-status", "connected");
        await kept.isTold("hotplug-status was removed or changed: written again");
        expect(kept.daemon.lines("error")).toEqual([]);
        expect(kept.daemon.lines("vbd/7/51712): attach")).toHaveLength(1);
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
        const other = join(kept.directory, "other");
        fs.writeFileSync(other, new Uint8Array(64 * 1024));
        const node = loop();
        // No check comes between the two.
        process.kill(kept.daemon.pid, "SIGSTOP");
        losetup("-d", node);
        losetup(node, other);
        process.kill(kept.daemon.pid, "SIGCONT");
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
        ...{ script: join(kept.directory, "block-mute"), params: image, node, state: "4" },
        "physical-device": `7:${(rdev & 0xff).toString(16)}`,
      });
      await start("never");
      await kept.daemon.says(/was set up before: adopted/);
      await device.reaches("hotplug-status", "connected");
      await kept.pause();
      expect(fs.existsSync(join(kept.directory, "block-mute.ran"))).toBeFalse();
      await device.detach();
      await device.gone();
      expect(fs.readFileSync(join(kept.directory, "block-mute.ran"), "utf8")).toBe("remove\n");
    });

    test("a mute script's disk that no guest has connected yet, likewise", async () => {
      const node = losetup("--find", "--show", image).trim();
      const { rdev } = fs.statSync(node);
      await device.create({
        ...{ script: join(kept.directory, "block-mute"), params: image, node, state: "2" },
        "physical-device": `7:${(rdev & 0xff).toString(16)}`,
      });
      await start("never");
      await device.reaches("hotplug-status", "connected");
      await kept.pause();
      expect(fs.existsSync(join(kept.directory, "block-mute.ran"))).toBeFalse();
      await device.detach();
      await device.gone();
      expect(fs.readFileSync(join(kept.directory, "block-mute.ran"), "utf8")).toBe("remove\n");
    });
  });
}
