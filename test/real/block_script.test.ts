/**
 * The main job on real parts: Debian's xenstored, Debian's `block` script, real loop devices. The
 * kernel's backend and the toolstack are played by hand.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, runProgram, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;
const SIZE = 256 * 1024;

/** The files behind all loop devices. */
async function losetup(): Promise<string> {
  const child = Bun.spawn(["losetup", "-a"], { stdout: "pipe" });
  return await new Response(child.stdout).text();
}

const needs = { packages: [...xenstoredPackages, "xen-utils-common", "mount"], root: true };
if (requireReal("Debian's block script on loop devices", needs)) {
  describe("Debian's block script", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let daemon: DaemonProcess;
    let directory: string;
    let options: string[];

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      await makeDomain(dom0, DRIVER);
      await makeDomain(dom0, GUEST);
      directory = await mkdtemp(join(tmpdir(), "xdevd-block-"));
      options = ["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")];
      daemon = await DaemonProcess.start(options);
    });

    afterEach(async () => {
      expect(await losetup()).not.toContain(directory);
    });

    afterAll(async () => {
      expect(await daemon.stop()).toBe(0);
      dom0.close();
      await store.stop();
      await rm(directory, { recursive: true });
    });

    async function image(name: string): Promise<{ path: string; bytes: Buffer }> {
      const path = join(directory, name);
      const bytes = Buffer.from(crypto.getRandomValues(new Uint8Array(SIZE / 4)));
      await writeFile(path, Buffer.concat([bytes, bytes, bytes, bytes]));
      return { path, bytes };
    }

    /** Creates a device and lets the kernel reach state 2; returns when the script has succeeded. */
    async function attach(devid: number, params: string, more: Record<string, string> = {}) {
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid };
      const device = new HandMadeDevice(dom0, id);
      await device.create({ script: "/etc/xen/scripts/block", params, ...more });
      await device.write("state", "2");
      return device;
    }

    async function firstBytes(device: string, length: number): Promise<Buffer> {
      const file = await open(device, "r");
      try {
        const buffer = Buffer.alloc(length);
        await file.read(buffer, 0, length, 0);
        return buffer;
      } finally {
        await file.close();
      }
    }

    test("a file: the right bytes through its loop device, and nothing left after", async () => {
      const { path, bytes } = await image("disk");
      const device = await attach(51712, path);
      await device.reaches("hotplug-status", "connected");
      const node = await device.read("node") ?? "";
      expect(node).toMatch(/^\/dev\/loop\d+$/);
      const { rdev } = await Bun.file(node).stat() as unknown as { rdev: number };
      const majorMinor = `${(rdev >> 8).toString(16)}:${(rdev & 0xff).toString(16)}`;
      expect(await device.read("physical-device")).toBe(majorMinor);
      expect(await firstBytes(node, bytes.length)).toEqual(bytes);
      expect(await losetup()).toContain(path);
      await device.detach();
      await device.gone();
    });

    test("a read-only file cannot be written through its loop device", async () => {
      const { path } = await image("read-only");
      const device = await attach(51728, path, { mode: "r" });
      await device.reaches("hotplug-status", "connected");
      const node = await device.read("node") ?? "";
      const flag = await Bun.file(`/sys/block/${node.slice(5)}/ro`).text();
      expect(flag.trim()).toBe("1");
      await device.detach();
      await device.gone();
    });

    test("a file that does not exist fails, says so, and leaves nothing", async () => {
      const device = await attach(51744, join(directory, "absent"));
      await device.reaches("hotplug-status", "error");
      await device.reaches("state", "6");
      expect(await device.read("hotplug-error")).toMatch(/./);
      await device.detach();
      await device.gone();
    });

    test("a directory deleted by force: the loop device goes all the same", async () => {
      const { path } = await image("forced");
      const device = await attach(51760, path);
      await device.reaches("hotplug-status", "connected");
      await daemon.says(/vbd\/7\/51760\): connected/);
      expect(await losetup()).toContain(path);
      await device.nuke();
      await until(async () => !(await losetup()).includes(path), losetup);
    });

    test("a guest that died: its directory and its loop device go", async () => {
      const { path } = await image("dead");
      const device = await attach(51776, path);
      await daemon.says(/vbd\/7\/51776\): connected/);
      await dom0.remove(device.frontend);
      await device.write("state", "6");
      await device.gone();
    });

    test("eight at once", async () => {
      const images = await Promise.all(
        Array.from({ length: 8 }, (_, number) => image(`many-${number}`)),
      );
      const devices = await Promise.all(
        images.map(({ path }, number) => attach(52000 + number, path)),
      );
      await Promise.all(devices.map((device) => device.reaches("hotplug-status", "connected")));
      for (const [number, device] of devices.entries()) {
        const node = await device.read("node") ?? "";
        expect(await firstBytes(node, 512)).toEqual(images[number]!.bytes.subarray(0, 512));
      }
      await Promise.all(devices.map((device) => device.detach()));
      await Promise.all(devices.map((device) => device.gone()));
    });

    test("a restarted daemon adopts what is connected, and can remove it", async () => {
      const { path } = await image("adopted");
      const device = await attach(51792, path);
      await daemon.says(/vbd\/7\/51792\): connected/);
      await daemon.stop("SIGKILL");
      daemon = await DaemonProcess.start(options);
      await daemon.says(/vbd\/7\/51792\): was set up before: adopted/);
      expect((await losetup()).split(path)).toHaveLength(2);
      await device.detach();
      await device.gone();
    });

    test("a detach while no daemon runs is finished by the next one", async () => {
      const { path } = await image("meanwhile");
      const device = await attach(51808, path);
      await daemon.says(/vbd\/7\/51808\): connected/);
      expect(await daemon.stop()).toBe(0);
      await device.detach();
      daemon = await DaemonProcess.start(options);
      await device.gone();
    });

    describe("a custom script", () => {
      // The stock frame, `write_dev` included, around what a product's own script does.
      const CUSTOM = `#!/bin/bash
dir=$(dirname "$0")
. "$dir/block-common.sh"
target=$(xenstore_read "$XENBUS_PATH/params")
mode=$(xenstore_read "$XENBUS_PATH/mode")
file=\${target#*path=}
case "$command" in
add)
  echo "$target $mode $# $(xenstore_read_default "$XENBUS_PATH/physical-device" none)" \\
    >> "$dir/custom.seen"
  [ -e "$file" ] || fatal "there is no $file"
  loop=$(losetup --find --show "$file")
  xenstore_write "$XENBUS_PATH/custom-loop" "$loop"
  write_dev "$loop"
  ;;
remove)
  echo "remove $target" >> "$dir/custom.seen"
  losetup -d "$(xenstore_read "$XENBUS_PATH/custom-loop")"
  ;;
esac
`;
      let scripts: string;
      let driver: DaemonProcess;

      beforeAll(async () => {
        await daemon.stop();
        scripts = join(directory, "scripts");
        await cp("/etc/xen/scripts", scripts, { recursive: true });
        await writeFile(join(scripts, "block-custom"), CUSTOM, { mode: 0o755 });
        driver = await DaemonProcess.start([...options, "--scripts", scripts]);
      });

      afterAll(async () => {
        await driver.stop();
        daemon = await DaemonProcess.start(options);
      });

      const seen = async () => {
        const path = join(scripts, "custom.seen");
        const text = await readFile(path, "utf8");
        await rm(path);
        return text.trimEnd().split("\n");
      };

      test("its target verbatim, no physical-device before it writes one, and nothing else", async () => {
        const { path, bytes } = await image("custom");
        const params = `server=10.0.0.1;pool="a b",path=${path}`;
        const device = await attach(52480, params, { script: join(scripts, "block-custom") });
        await device.reaches("hotplug-status", "connected");
        const node = await device.read("custom-loop") ?? "";
        expect(await device.read("physical-device-path")).toBe(node);
        expect(await device.read("physical-device")).toMatch(/^7:[0-9a-f]+$/);
        expect(await device.read("params")).toBe(params);
        expect(await firstBytes(node, bytes.length)).toEqual(bytes);
        await driver.says(/52480\)?: connected/);
        await device.detach();
        await device.gone();
        expect(await seen()).toEqual([`${params} w 1 none`, `remove ${params}`]);
      });

      test("its failure is what the toolstack's user reads", async () => {
        const device = await attach(52496, "path=/absent", {
          script: join(scripts, "block-custom"),
        });
        await device.reaches("hotplug-status", "error");
        await device.reaches("state", "6");
        expect(await device.read("hotplug-error")).toContain("there is no /absent");
        await device.detach();
        await device.gone();
        expect((await seen())[0]).toBe("path=/absent w 1 none");
      });
    });

    test("a second daemon is refused", async () => {
      const second = await runProgram(["devd", "-F", ...options]);
      expect(second.code).toBe(4);
      expect(second.stderr).toMatch(/^xdevd: another daemon, process \d+, serves already: .*\n$/);
    });
  });
}
