/**
 * The version 2 scripts that come with xdevd, on Debian's xenstored, run by the daemon and the
 * commands: `block-v2` on real loop devices; its volumes with recording stand-ins for LVM's programs,
 * and `block-iscsi-v2` with one for open-iscsi's, since neither is to be had here.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { leftInData } from "../support/driver_data.ts";
import { DaemonProcess, type Finished, runProgram, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;
const OTHER = 8;
const SCRIPTS = join(import.meta.dir, "..", "..", "scripts", "v2");
const IQN = "iqn.2026-11.org.example:disk-1";
const PORTAL = "10.0.0.1:3260";
const BY_PATH = "/dev/disk/by-path";
const LINK = `${BY_PATH}/ip-${PORTAL}-iscsi-${IQN}-lun-0`;

/** Keeps what is active in a file; `/dev/vg/lv` is a link to a loop device while it is. */
const LVS = `#!/bin/sh
here=$(dirname "$0")
echo "lvs $*" >> "$here/lvm.calls"
for name; do :; done
case $name in *vg-test/disk) ;; *) exit 5 ;; esac
case $* in
*lv_active*) [ -e "$here/active" ] && echo "  active" || echo "  " ;;
*) echo "  vg-test disk" ;;
esac
`;
const LVCHANGE = `#!/bin/sh
here=$(dirname "$0")
echo "lvchange $*" >> "$here/lvm.calls"
case $* in
*"--activate y"*) : > "$here/active"; mkdir -p /dev/vg-test; ln -s "$(cat "$here/volume")" /dev/vg-test/disk ;;
*"--activate n"*) rm "$here/active" /dev/vg-test/disk; rmdir /dev/vg-test ;;
esac
`;

/** A session is a file, and a link to a loop device where udev would make one. */
const ISCSIADM = `#!/bin/sh
here=$(dirname "$0")
echo "iscsiadm $*" >> "$here/iscsi.calls"
link="${LINK}"
case $* in
"--mode session") [ -e "$here/session" ] || exit 21; cat "$here/session" ;;
*--login) [ ! -e "$here/refuses" ] || exit 24
  echo "tcp: [1] ${PORTAL},1 ${IQN} (non-flash)" > "$here/session"
  mkdir -p ${BY_PATH}; ln -s "$(cat "$here/volume")" "$link" ;;
*--logout) [ -e "$here/session" ] || exit 21; rm "$here/session" "$link" ;;
esac
`;

const needs = { packages: [...xenstoredPackages, "mount"], root: true };
if (requireReal("xdevd's own version 2 scripts", needs)) {
  describe("scripts of version 2", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let daemon: DaemonProcess;
    let options: string[];
    let volume: string;

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST, OTHER] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, GUEST, OTHER]) await makeDomain(dom0, domid);
      directory = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), "xdevd-v2-scripts-"));
      // As installed: the source tree's owner may be anybody.
      for (const name of fs.readdirSync(SCRIPTS)) {
        fs.copyFileSync(join(SCRIPTS, name), join(directory, name));
        fs.chmodSync(join(directory, name), 0o755);
      }
      for (const [name, text] of Object.entries({ lvs: LVS, lvchange: LVCHANGE })) {
        fs.writeFileSync(join(directory, name), text, { mode: 0o755 });
      }
      fs.writeFileSync(join(directory, "iscsiadm"), ISCSIADM, { mode: 0o755 });
      volume = losetup("--find", "--show", image("volume"));
      fs.writeFileSync(join(directory, "volume"), volume);
      options = [
        ...["--store", store.socketPath(DRIVER), "--scripts", directory],
        ...["--run-dir", join(directory, "run")],
        ...["--script-path", `${directory}:/usr/sbin:/usr/bin:/sbin:/bin`],
      ];
      // What is refused is closed at once.
      daemon = await DaemonProcess.start([...options, "--time", "busy=0"]);
    });

    afterEach(async () => {
      await until(() => ours().length === 1, () => `${ours()}\n${daemon.log}`);
      expect(await leftInData(dom0, DRIVER)).toEqual([]);
      for (const name of ["active", "session"]) {
        expect(fs.existsSync(join(directory, name))).toBe(false);
      }
    });

    afterAll(async () => {
      await daemon.stop();
      losetup("--detach", volume);
      for (const path of ["/dev/vg-test", LINK]) fs.rmSync(path, { recursive: true, force: true });
      dom0.close();
      await store.stop();
      fs.rmSync(directory, { recursive: true });
    });

    const losetup = (...args: string[]) =>
      execFileSync("losetup", args, { encoding: "utf8" }).trim();
    /** Loop devices on files of this test's; one is the volume. */
    const ours = () =>
      losetup("--list", "--noheadings", "--output", "NAME,BACK-FILE").split("\n")
        .filter((line) => line.includes(directory));
    const calls = (file: string) => {
      const path = join(directory, file);
      const text = fs.existsSync(path) ? fs.readFileSync(path, "utf8") : "";
      fs.rmSync(path, { force: true });
      return text.trimEnd().split("\n");
    };

    function image(name: string): string {
      const path = join(directory, name);
      fs.writeFileSync(path, crypto.getRandomValues(new Uint8Array(64 * 1024)));
      return path;
    }

    async function attach(
      script: string,
      params: string,
      more: Record<string, string> = {},
      frontendDomid = GUEST,
    ): Promise<HandMadeDevice> {
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid, devid: 51712 };
      const device = new HandMadeDevice(dom0, id);
      await device.create({ script: join(directory, script), params, state: "2", ...more });
      return device;
    }

    async function connected(...args: Parameters<typeof attach>): Promise<HandMadeDevice> {
      const device = await attach(...args);
      await until(
        async () => ["connected", "error"].includes(await device.read("hotplug-status") ?? ""),
        () => daemon.log,
      );
      expect(await device.read("hotplug-error")).toBeUndefined();
      return device;
    }

    const numberOf = (node: string) => {
      const rdev = Number(fs.statSync(node).rdev);
      return `${(rdev >> 8).toString(16)}:${(rdev & 0xff).toString(16)}`;
    };

    const command = (verb: string, ...more: string[]): Promise<Finished> =>
      runProgram([verb, ...options, ...more, "7", "xvda"]);
    const on = (verb: string, script: string, target: string, ...more: string[]) =>
      runProgram([verb, ...options, "--script", script, ...more, "7", "xvda", target]);

    test("a file, with a name that no shell would let pass: the right bytes, nothing left", async () => {
      const path = image("dïsk $(touch oops) 'a'\\b");
      const device = await connected("block-v2", path);
      const node = await device.read("physical-device-path") ?? "";
      expect(node).toMatch(/^\/dev\/loop\d+$/);
      expect(await device.read("physical-device")).toBe(numberOf(node));
      expect(fs.readFileSync(node)).toEqual(fs.readFileSync(path));
      await device.detach();
      await device.gone();
    });

    test("a block device by its path and by its name", async () => {
      for (const target of [volume, volume.slice("/dev/".length)]) {
        const device = await connected("block-v2", target);
        expect(await device.read("physical-device")).toBe(numberOf(volume));
        await device.detach();
        await device.gone();
      }
    });

    test("prepared and attached locally by command, then for the guest: one loop device", async () => {
      const path = image("ahead");
      const local = await on("local-attach", "block-v2", path);
      const node = local.stdout.trim();
      expect(fs.readFileSync(node)).toEqual(fs.readFileSync(path));
      expect((await command("prepare")).code).toBe(0);
      expect((await command("local-detach")).code).toBe(0);
      const device = await connected("block-v2", path);
      expect(await device.read("physical-device-path")).toBe(node);
      expect(ours()).toHaveLength(2);
      await device.detach();
      await device.gone();
    });

    test("the file unlinked meanwhile: its loop device goes all the same", async () => {
      const path = image("unlinked");
      const device = await connected("block-v2", path);
      fs.rmSync(path);
      await device.detach();
      await device.gone();
    });

    test("what does not exist, and what is read-only, is refused and says so", async () => {
      const absent = await attach("block-v2", join(directory, "absent"));
      await absent.reaches("state", "6");
      expect(await absent.read("hotplug-error")).toMatch(/neither a block device, a file nor/);
      await absent.detach();
      await absent.gone();
      const readOnly = losetup("--find", "--show", "--read-only", image("read-only"));
      try {
        const device = await attach("block-v2", readOnly);
        await device.reaches("state", "6");
        expect(await device.read("hotplug-error")).toMatch(/is read-only, and cannot be written/);
        await device.detach();
        await device.gone();
        const reading = await connected("block-v2", readOnly, { mode: "r" });
        await reading.detach();
        await reading.gone();
      } finally {
        losetup("--detach", readOnly);
      }
    });

    test("a file that one guest writes is refused to another, and left to the first", async () => {
      const path = image("shared");
      const device = await connected("block-v2", path);
      const second = await attach("block-v2", path, {}, OTHER);
      await second.reaches("hotplug-status", "busy");
      await second.reaches("state", "6");
      await second.detach();
      await second.gone();
      expect(ours()).toHaveLength(2);
      await device.detach();
      await device.gone();
    });

    test("killed at any time, by command: no loop device is left after unprepare", async () => {
      const path = image("killed");
      for (let ms = 60; ms <= 240; ms += 20) {
        const main = join(import.meta.dir, "..", "..", "main.ts");
        const argv = ["prepare", ...options, "--script", "block-v2", "7", "xvda", path];
        const child = Bun.spawn([process.execPath, main, ...argv], { stderr: "ignore" });
        await new Promise((resolve) => setTimeout(resolve, ms));
        child.kill("SIGKILL");
        await child.exited;
        expect((await command("unprepare")).code).toBe(0);
        await until(() => ours().length === 1, () => ours().join());
      }
    }, 20_000);

    test("its own actions killed with their script: unprepare finds what was made", async () => {
      const path = image("murdered");
      for (let ms = 2; ms <= 40; ms += 2) {
        await on("prepare", "block-v2", path, "--timeout", String(ms / 1000));
        expect((await command("unprepare")).code).toBe(0);
        await until(() => ours().length === 1, () => ours().join());
      }
    }, 20_000);

    test("a volume is activated to be prepared, and deactivated at the end", async () => {
      const device = await connected("block-v2", "vg-test/disk");
      expect(await device.read("physical-device")).toBe(numberOf(volume));
      await device.detach();
      await device.gone();
      expect(calls("lvm.calls").filter((line) => line.startsWith("lvchange"))).toEqual([
        "lvchange --activate y -- vg-test/disk",
        "lvchange --activate n -- vg-test/disk",
      ]);
    });

    test("a volume that was active before stays so", async () => {
      execFileSync(join(directory, "lvchange"), ["--activate y"]);
      calls("lvm.calls");
      const device = await connected("block-v2", "vg-test/disk");
      await device.detach();
      await device.gone();
      expect(calls("lvm.calls").filter((line) => line.startsWith("lvchange"))).toEqual([]);
      execFileSync(join(directory, "lvchange"), ["--activate n"]);
    });

    test("iSCSI: logged in when prepared, not when added; logged out at the end", async () => {
      const target = `iqn=${IQN},portal=${PORTAL}`;
      expect((await on("prepare", "block-iscsi-v2", target)).code).toBe(0);
      const node = `--mode node --targetname ${IQN} --portal ${PORTAL}`;
      const withoutLooks = (lines: string[]) => lines.filter((line) => !/mode session/.test(line));
      expect(withoutLooks(calls("iscsi.calls"))).toEqual([
        `iscsiadm --mode discovery --type sendtargets --portal ${PORTAL}`,
        `iscsiadm ${node} --login`,
      ]);
      const device = await connected("block-iscsi-v2", target);
      expect(await device.read("physical-device")).toBe(numberOf(volume));
      expect(await device.read("physical-device-path")).toBe(volume);
      await device.detach();
      await device.gone();
      expect(withoutLooks(calls("iscsi.calls"))).toEqual([`iscsiadm ${node} --logout`]);
    });

    test("iSCSI: a login that fails, a session of somebody else's, and what is no target", async () => {
      const target = `iqn=${IQN},portal=${PORTAL}`;
      fs.writeFileSync(join(directory, "refuses"), "");
      const failed = await on("prepare", "block-iscsi-v2", target);
      expect(failed.code).toBe(1);
      expect(failed.stderr).toContain("login failed");
      fs.rmSync(join(directory, "refuses"));
      fs.writeFileSync(join(directory, "session"), `tcp: [1] ${PORTAL},1 ${IQN} (non-flash)\n`);
      const taken = await on("prepare", "block-iscsi-v2", target);
      expect(taken.stderr).toContain("is in use here already");
      expect(fs.existsSync(join(directory, "session"))).toBe(true);
      fs.rmSync(join(directory, "session"));
      for (
        const [bad, why] of [
          [`iqn=x;reboot,portal=${PORTAL}`, "is no iSCSI name"],
          [`iqn=${IQN},portal=-x`, "is no portal"],
          [`iqn=${IQN},portal=a,lun=1x`, "is no LUN"],
          [`iqn=${IQN},portal=a,multipath=y`, "there is no parameter 'multipath=y'"],
          ["*", "there is no parameter '*'"],
        ] as const
      ) {
        const { code, stderr } = await on("prepare", "block-iscsi-v2", bad);
        expect(code).toBe(1);
        expect(stderr).toContain(why);
      }
    });
  });
}
