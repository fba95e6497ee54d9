/** What others use: refused, and taken up when it is released; on Debian's xenstored, with loop devices. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUESTS = [7, 8] as const;
const VM = "/vm/0f9d1c1e-3f4b-4c55-9a55-27e9b1a4a8aa";

if (requireReal("what others use", { packages: [...xenstoredPackages, "mount"], root: true })) {
  describe("a disk that another guest uses", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let daemon: DaemonProcess;
    let directory: string;
    let image: string;
    let options: string[];

    beforeEach(async () => {
      store = await startXenstored({ domains: [DRIVER, ...GUESTS] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, ...GUESTS]) await makeDomain(dom0, domid);
      directory = fs.mkdtempSync(join(tmpdir(), "xdevd-busy-"));
      image = join(directory, "disk");
      fs.writeFileSync(image, new Uint8Array(64 * 1024));
      const config = join(directory, "config.toml");
      fs.writeFileSync(config, '[plugins.vbd.settings]\nnative = "always"\n', { mode: 0o644 });
      options = ["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")]
        .concat("--config", config);
      daemon = await DaemonProcess.start(options);
    });

    afterEach(async () => {
      expect(await daemon.stop()).toBe(0);
      expect(spawnSync("losetup", ["-a"], { encoding: "utf8" }).stdout).not.toContain(directory);
      dom0.close();
      await store.stop();
      fs.rmSync(directory, { recursive: true });
    });

    async function disk(guest: number, devid = 51712): Promise<HandMadeDevice> {
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: guest, devid };
      const device = new HandMadeDevice(dom0, id);
      await device.create({ script: "/etc/xen/scripts/block", params: image });
      await device.write("state", "2");
      return device;
    }

    async function both(): Promise<[HandMadeDevice, HandMadeDevice]> {
      const first = await disk(7);
      await first.reaches("hotplug-status", "connected");
      const second = await disk(8);
      await second.reaches("hotplug-status", "busy");
      return [first, second];
    }

    async function detached(...devices: HandMadeDevice[]): Promise<void> {
      for (const device of devices) {
        await device.detach();
        await device.gone();
      }
    }

    test("is refused with its backend open, and taken up when that is detached", async () => {
      const [first, second] = await both();
      expect(await second.read("hotplug-error")).toMatch(/cannot be shared.*vbd\/7\/51712/);
      await daemon.says(/undone|undoing|refused|cannot be shared/);
      expect(await second.read("state")).toBe("2");
      await detached(first);
      await second.reaches("hotplug-status", "connected");
      expect(await second.read("hotplug-error")).toBeUndefined();
      expect(daemon.lines("cannot be shared")).toHaveLength(1);
      await detached(second);
    });

    test("also after the daemon was killed", async () => {
      const [first, second] = await both();
      await daemon.stop("SIGKILL");
      daemon = await DaemonProcess.start(options);
      await detached(first);
      await second.reaches("hotplug-status", "connected");
      await detached(second);
    });

    test("is closed in the end, and taken up when its guest begins anew", async () => {
      await daemon.stop();
      daemon = await DaemonProcess.start([...options, "--time", "busy=1"]);
      const [first, second] = await both();
      await second.reaches("state", "6");
      await detached(first);
      await second.write("state", "2");
      await second.reaches("hotplug-status", "connected");
      await detached(second);
    });

    test("is not taken up when the toolstack has removed it", async () => {
      const [first, second] = await both();
      await second.write("online", "0");
      await second.write("state", "5");
      await second.reaches("state", "6");
      await detached(first);
      await second.gone();
      expect(daemon.lines("vbd/8/51712").join()).not.toMatch(/connected/);
    });

    test("is waited for without a word while that is about to go", async () => {
      const first = await disk(7);
      await first.reaches("hotplug-status", "connected");
      // Its guest takes longer to close it than one that shows no sign of going is waited for.
      await first.write("online", "0");
      await first.write("state", "5");
      const second = await disk(8);
      await new Promise((resolve) => setTimeout(resolve, 4_000));
      expect(await second.read("hotplug-status")).toBeUndefined();
      await first.write("state", "6");
      await first.gone();
      await second.reaches("hotplug-status", "connected");
      await detached(second);
    });

    test("of the same virtual machine is served together with it for a while", async () => {
      for (const domid of GUESTS) {
        await dom0.write(`/local/domain/${domid}/vm`, VM);
        await dom0.setPermissions(`/local/domain/${domid}/vm`, [
          { domid: 0, access: "none" },
          { domid: DRIVER, access: "read" },
        ]);
      }
      const first = await disk(7);
      await first.reaches("hotplug-status", "connected");
      const second = await disk(8);
      await second.reaches("hotplug-status", "connected");
      await daemon.says(/served together/);
      await detached(first, second);
    });

    test("what may not be read of a machine does not make it the same", async () => {
      await dom0.write(`/local/domain/7/vm`, VM);
      await dom0.write(`/local/domain/8/vm`, VM);
      await detached(...await both());
    });
  });
}
