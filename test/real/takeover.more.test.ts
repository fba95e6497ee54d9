/**
 * A daemon of either binary, killed under load with devices of every kind, is taken up by the other: on
 * Debian's xenstored, real loop devices and interfaces. Kernel, guests and toolstack are played by hand.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtIns } from "../../built_in.ts";
import { buildSmall } from "../../compile/small/link.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, until } from "../support/daemon_process.ts";
import { fullCommand } from "../support/full_only.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;
const HOME = `/local/domain/${DRIVER}`;
/** How many disks are being attached when the daemon is killed. */
const UNDER_WAY = 8;
const PATIENCE_MS = 30_000;

/** For disks and interfaces. */
const SCRIPT = `#!/bin/sh
case "$1" in
add) xenstore-write "$XENBUS_PATH/physical-device" 7:0 "$XENBUS_PATH/hotplug-status" connected ;;
online) xenstore-write "$XENBUS_PATH/hotplug-status" connected ;;
esac
`;

const PLUGIN = `// xdevd-plugin: {"name":"plain","version":"1","api":1,"kinds":["plain"]}
import { definePlugin } from "xdevd/plugin";
export default definePlugin({
  name: "plain", version: "1", api: 1, kinds: ["plain"],
  async add(device) {
    await device.recordUndo({ of: "plain" });
    await device.nodes.write({ "hotplug-status": "connected" });
  },
  async remove(device) {
    if (device.undo.of !== "plain") throw new Error("the record is lost");
  },
});
`;

const needs = {
  packages: [...xenstoredPackages, "mount", "iproute2", "gcc"],
  root: true,
  lacking: spawnSync("unshare", ["--net", "true"]).status === 0 ? null : "network namespaces",
};
if (requireReal("taking over from the other binary", needs)) {
  describe("taking over", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    const devices: HandMadeDevice[] = [];
    let binaries: Record<"small" | "full", readonly [string, ...string[]]>;

    beforeAll(async () => {
      directory = fs.mkdtempSync(join(tmpdir(), "xdevd-takeover-"));
      const outfile = join(directory, "xdevd");
      await buildSmall({ outfile, plugins: builtIns.map(({ manifest }) => manifest.name) });
      binaries = { small: [outfile], full: fullCommand("itself, compiled") };
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, GUEST]) await makeDomain(dom0, domid);
      for (const name of ["libxl", "device-model"]) {
        await dom0.makeDirectory(`${HOME}/${name}`);
        await dom0.setPermissions(`${HOME}/${name}`, [{ domid: DRIVER, access: "none" }]);
      }
      const here = import.meta.dir;
      fs.copyFileSync(join(here, "qemu_stand_in.sh"), join(directory, "qemu"));
      const shell = fs.readFileSync(join(here, "shell_plugin.sh"), "utf8");
      fs.writeFileSync(join(directory, "in-shell"), shell.replace('["vbd"]', '["shell"]'));
      fs.writeFileSync(join(directory, "plain.js"), PLUGIN, { mode: 0o644 });
      fs.mkdirSync(join(directory, "scripts"));
      for (const name of ["block", "vif-bridge"]) {
        fs.writeFileSync(join(directory, "scripts", name), SCRIPT, { mode: 0o755 });
      }
      for (const name of ["qemu", "in-shell"]) fs.chmodSync(join(directory, name), 0o755);
    }, 300_000);

    afterAll(async () => {
      dom0.close();
      await store.stop();
      fs.rmSync(directory, { recursive: true });
    });

    const rounds = (["small", "full"] as const).flatMap((first) =>
      (["scripts", "no scripts"] as const).map((way) => [first, way] as const)
    );
    test.each(rounds)("from the %s one, with %s", async (first, way) => {
      const native = way === "no scripts";
      const config = join(directory, "config.toml");
      const settings = ["vbd", "vif"].map((name) =>
        native ? `[plugins.${name}.settings]\nnative = "always"\n` : ""
      );
      settings.push(`[plugins.qemu.settings]\nbinary = "${join(directory, "qemu")}"\n`);
      fs.writeFileSync(config, settings.join(""), { mode: 0o644 });
      const machine = await namespaces();
      const start = (binary: "small" | "full") =>
        DaemonProcess.start([
          ...["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")],
          ...["--config", config, "--scripts", join(directory, "scripts")],
          ...["--plugin", join(directory, "plain.js"), "--plugin", join(directory, "in-shell")],
          ...["--log-level", "debug", "--time", "qemuExit=0.3"],
        ], {
          command: [
            "/usr/bin/nsenter",
            ...["-t", String(machine.pid), "--net", "--mount", "--"],
            ...binaries[binary],
          ],
        });
      let daemon = await start(first);
      try {
        const served = [
          await disk(51712),
          await device("vif", 0, {
            type: "vif",
            handle: "0",
            bridge: "br0",
            ...script("vif-bridge"),
          }),
          await device("qdisk", 51728, { params: "aio:/image", state: "1" }, "vbd"),
          await device("9pfs", 0, { state: "1" }),
          await device("plain", 0, {}),
          await device("shell", 0, {}),
        ];
        for (const one of served) await one.reaches("hotplug-status", "connected", PATIENCE_MS);
        const still = await device("vinput", 0, {}, "vkbd");
        const late: HandMadeDevice[] = [];
        for (let number = 1; number <= UNDER_WAY; number++) {
          late.push(await disk(51744 + 16 * number));
        }
        await daemon.stop("SIGKILL");
        const before = daemon;
        daemon = await start(first === "small" ? "full" : "small");
        try {
          for (const one of [...served, ...late]) {
            await one.reaches("hotplug-status", "connected", PATIENCE_MS);
          }
          await daemon.says(/vbd\/7\/51712\): .*(adopt|served|taken)/);
          for (const one of [...served, still, ...late]) await one.detach();
          for (const one of [...served, still, ...late]) await one.gone();
        } catch (error) {
          throw new Error(`${(error as Error).message}\n${before.log}\n====\n${daemon.log}`);
        }
      } finally {
        for (const one of devices.splice(0)) await one.nuke();
        expect(await daemon.stop()).toBe(0);
        machine.end();
      }
      expect(daemon.lines(" error ")).toEqual([]);
      await until(
        () => !spawnSync("losetup", ["-a"], { encoding: "utf8" }).stdout.includes(directory),
        () => spawnSync("losetup", ["-a"], { encoding: "utf8" }).stdout,
      );
      fs.rmSync(join(directory, "run"), { recursive: true });
    }, 180_000);

    const script = (name: string) => ({ script: join(directory, "scripts", name) });

    async function device(
      kind: string,
      devid: number,
      nodes: Record<string, string>,
      frontendKind = kind,
    ): Promise<HandMadeDevice> {
      const id = { backendDomid: DRIVER, kind, frontendDomid: GUEST, devid };
      const made = new HandMadeDevice(dom0, id, frontendKind);
      devices.push(made);
      await made.create(nodes);
      // QEMU does so itself, later.
      if (nodes["state"] === undefined) await made.write("state", "2");
      return made;
    }

    function disk(devid: number): Promise<HandMadeDevice> {
      const image = join(directory, `image-${devid}`);
      fs.writeFileSync(image, new Uint8Array(64 * 1024));
      return device("vbd", devid, { params: image, ...script("block") });
    }

    /** A network with a bridge and what stands for the guest's interface; it is there until `end`. */
    async function namespaces(): Promise<{ pid: number; end(): void }> {
      const setUp = "mount -t sysfs sysfs /sys && ip link add br0 type bridge && " +
        "ip link add vif7.0 type veth peer name guest && echo ready && exec sleep 600";
      const holder = spawn("/usr/bin/unshare", ["--net", "--mount", "sh", "-c", setUp], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await new Promise<void>((resolve, reject) => {
        holder.stdout.once("data", () => resolve());
        holder.once("exit", (code) => reject(new Error(`no namespaces: status ${code}`)));
      });
      return { pid: holder.pid!, end: () => void holder.kill("SIGKILL") };
    }
  });
}
