/**
 * The daemon without scripts, on Debian's xenstored: real loop devices, and real interfaces in a
 * network namespace of its own. The kernel's backend and the toolstack are played by hand.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, programCommand } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUESTS = [7, 8];

const needs = {
  packages: [...xenstoredPackages, "mount", "iproute2"],
  root: true,
  lacking: spawnSync("unshare", ["--net", "true"]).status === 0 ? null : "network namespaces",
};
if (requireReal("native mode in the daemon", needs)) {
  describe("native mode in the daemon", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let daemon: DaemonProcess;
    let directory: string;
    let devid = 51712;

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, ...GUESTS] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, ...GUESTS]) await makeDomain(dom0, domid);
      directory = fs.mkdtempSync(join(tmpdir(), "xdevd-native-"));
      const config = join(directory, "config.toml");
      fs.writeFileSync(
        config,
        ["vbd", "vif"].map((name) => `[plugins.${name}.settings]\nnative = "always"\n`).join(""),
        { mode: 0o644 },
      );
      const setUp = "mount -t sysfs sysfs /sys && ip link add br0 type bridge && " +
        "ip link set br0 mtu 1400 && ip link add vif7.0 type veth peer name guest";
      daemon = await DaemonProcess.start(
        ["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")]
          .concat("--config", config, "--log-level", "debug"),
        {
          command: [
            "/usr/bin/unshare",
            ...["--net", "--mount", "sh", "-c", `${setUp} && exec "$0" "$@"`],
            ...programCommand(),
          ],
        },
      );
    });

    afterEach(() => {
      expect(spawnSync("losetup", ["-a"], { encoding: "utf8" }).stdout).not.toContain(directory);
      expect(daemon.log).not.toContain("runs /");
    });

    afterAll(async () => {
      expect(await daemon.stop()).toBe(0);
      dom0.close();
      await store.stop();
      fs.rmSync(directory, { recursive: true });
    });

    function image(name: string): string {
      const path = join(directory, name);
      fs.writeFileSync(path, crypto.getRandomValues(new Uint8Array(64 * 1024)));
      return path;
    }

    async function disk(guest: number, nodes: Record<string, string>): Promise<HandMadeDevice> {
      devid += 16;
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: guest, devid };
      const device = new HandMadeDevice(dom0, id);
      await device.create({ script: "/etc/xen/scripts/block", ...nodes });
      await device.write("state", "2");
      return device;
    }

    async function detach(...devices: HandMadeDevice[]): Promise<void> {
      for (const device of devices) await device.detach();
      for (const device of devices) await device.gone();
    }

    test("a file: loop device, nodes, bytes; and nothing is left", async () => {
      const path = image("disk");
      const device = await disk(7, { params: path });
      await device.reaches("hotplug-status", "connected");
      const node = (await device.read("node"))!;
      expect(await device.read("physical-device")).toMatch(/^7:[0-9a-f]+$/);
      expect(fs.readFileSync(node).subarray(0, 65536)).toEqual(fs.readFileSync(path));
      await detach(device);
    });

    test("of two guests that want one file the second is told busy, and why", async () => {
      const path = image("shared");
      const first = await disk(7, { params: path, mode: "w" });
      await first.reaches("hotplug-status", "connected");
      const second = await disk(8, { params: path, mode: "w" });
      await second.reaches("hotplug-status", "busy");
      expect(await second.read("hotplug-error")).toMatch(/shared" cannot be shared: another guest/);
      await detach(first, second);
    });

    test("unless both say that it is meant so", async () => {
      const path = image("both");
      const [first, second] = [
        await disk(7, { params: path, mode: "w!" }),
        await disk(8, { params: path, mode: "w!" }),
      ];
      for (const device of [first, second]) await device.reaches("hotplug-status", "connected");
      await detach(first, second);
    });

    test.each([
      ["a missing file", { params: "/none/disk" }, /node params .*it does not exist/],
      ["a directory", { params: "/etc" }, /node params .*it is a directory/],
      ["no target", { params: "" }, /node params/],
      ["a line end", { params: "/etc\n/x" }, /node params/],
      ["a mode that is none", { params: "/dev/null", mode: "x" }, /node mode/],
    ])("%s: one clear line, and nothing half-made", async (_, nodes, reason) => {
      const device = await disk(7, nodes);
      await device.reaches("hotplug-status", "error");
      const error = (await device.read("hotplug-error"))!;
      expect(error).toMatch(reason);
      expect(error).not.toContain("\n");
      expect(await device.read("physical-device")).toBeUndefined();
      await detach(device);
    });

    test("an interface: bridge, MTU, flags; and back as it was", async () => {
      const link = (): { master?: string; mtu: number; flags: string[] } =>
        JSON.parse(
          spawnSync("nsenter", [
            "-t",
            String(daemon.pid),
            "-n",
            "ip",
            "-j",
            "link",
            "show",
            "vif7.0",
          ], {
            encoding: "utf8",
          }).stdout,
        )[0];
      const before = link();
      const id = { backendDomid: DRIVER, kind: "vif", frontendDomid: 7, devid: 0 };
      const device = new HandMadeDevice(dom0, id);
      const script = "/etc/xen/scripts/vif-bridge";
      await device.create({
        script,
        type: "vif",
        handle: "0",
        mac: "00:16:3e:00:00:01",
        bridge: "br0",
      });
      await dom0.write(`${device.frontend}/mtu`, "");
      await dom0.setPermissions(`${device.frontend}/mtu`, [
        { domid: 7, access: "none" },
        { domid: DRIVER, access: "both" },
      ]);
      await device.write("state", "2");
      await device.reaches("hotplug-status", "connected");
      expect(link()).toMatchObject({ master: "br0", mtu: 1400 });
      expect(link().flags).toContain("UP");
      expect(await dom0.readText(`${device.frontend}/mtu`)).toBe("1400");
      await detach(device);
      // The queueing discipline is chosen when it is first set up.
      expect({ ...link(), qdisc: "" }).toEqual({ ...before, qdisc: "" });
    });

    test.each([
      ["a bad MAC", { mac: "nonsense" }, /node mac is "nonsense"/],
      ["a name with a slash", { vifname: "../x" }, /node vifname is "\.\.\/x"/],
      ["a name of 16 bytes", { vifname: "sixteen-bytes-xx" }, /node vifname/],
      ["a bridge that is not there", { bridge: "br9" }, /node bridge is "br9".*no such interface/],
      ["a bridge that is none", { bridge: "guest" }, /node bridge is "guest".*this is not/],
    ])("an interface with %s: one clear line", async (_, nodes, reason) => {
      const id = { backendDomid: DRIVER, kind: "vif", frontendDomid: 7, devid: 0 };
      const device = new HandMadeDevice(dom0, id);
      const script = "/etc/xen/scripts/vif-bridge";
      await device.create({ script, type: "vif", handle: "0", bridge: "br0", ...nodes });
      await device.write("state", "2");
      await device.reaches("hotplug-status", "error");
      expect(await device.read("hotplug-error")).toMatch(reason);
      await detach(device);
    });
  });
}
