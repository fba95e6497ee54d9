/**
 * Native mode against Debian's `block` script, on the same real parts: Debian's xenstored and the
 * kernel's loop devices. Both have to leave the same nodes and the same disk.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkDisk, recordDisk } from "../../backends/vbd/check.ts";
import { addNative, removeNative } from "../../backends/vbd/native.ts";
import type { DeviceId } from "../../core/xen/device_id.ts";
import { Activity } from "../../core/daemon/activity.ts";
import { type ContextParts, deviceContext } from "../../core/daemon/capabilities/device.ts";
import { type Held, NOTHING_HELD } from "../../core/daemon/journal/held.ts";
import { Exclusive } from "../../core/daemon/capabilities/exclusive.ts";
import { Orphans } from "../../core/daemon/device/orphans.ts";
import { systemProcessTable } from "../../platform/linux/process_table.ts";
import { DEFAULT_LIMITS } from "../../core/hotplug/run_script.ts";
import { DEFAULT_PATH } from "../../core/hotplug/defaults.ts";
import { storage } from "../../platform/storage.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { systemProcesses } from "../../platform/io/child.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import type { Device } from "../../contract/v1/plugin.ts";
import type { BlockDevices } from "../../contract/v1/block.ts";
import { until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { HotplugDirectories } from "../../core/daemon/capabilities/hotplug_directory.ts";
import { systemNetworkLinks } from "../../platform/linux/network_links.ts";
import {
  FakeDevice,
  FakeMachine,
  holdersIn,
  type UndoRecords,
  valuesIn,
} from "../support/fake_device.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;
const SCRIPT = "/etc/xen/scripts/block";
const SIZE = 256 * 1024;

const nativeVictim = new URL("native_victim.ts", import.meta.url).pathname;

/** What of a loop device in sysfs has nothing to do with its number or its use. */
const TRAITS = [
  "ro",
  "size",
  "removable",
  "loop/autoclear",
  "loop/dio",
  "loop/offset",
  "loop/partscan",
  "loop/sizelimit",
  "queue/logical_block_size",
  "queue/physical_block_size",
  "queue/discard_max_bytes",
  "queue/write_cache",
] as const;

const patient = new AbortController().signal;

/** One way of setting devices up. */
interface Way {
  add(device: Device): Promise<void>;
  remove(device: Device): Promise<void>;
}

const needs = {
  packages: [...xenstoredPackages, "xen-utils-common", "mount"],
  root: true,
  lacking: fs.existsSync("/sbin/mkfs.ext4") ? null : "mkfs.ext4",
};
if (requireReal("native mode against Debian's block script", needs)) {
  describe("native mode and Debian's block script", () => {
    let server: RealXenstored;
    let dom0: StoreClient;
    let driver: StoreClient;
    let parts: ContextParts;
    let blocks: BlockDevices;
    let directory: string;
    let script: Way;
    let native: Way;
    const undoRecords: UndoRecords = new Map();

    beforeAll(async () => {
      server = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(server.socketPath(0));
      // As the daemon: a driver domain may have ten open.
      driver = await connectTo(server.socketPath(DRIVER), { transactions: 1 });
      await makeDomain(dom0, DRIVER);
      await makeDomain(dom0, GUEST);
      directory = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), "xdevd-native-"));
      parts = {
        store: driver,
        clock: systemClock,
        files: systemFiles,
        processes: systemProcesses,
        scripts: {
          policy: { directories: ["/etc/xen/scripts"], trustedUids: [0] },
          limits: DEFAULT_LIMITS,
          path: DEFAULT_PATH,
          environment: { XENSTORED_PATH: server.socketPath(DRIVER) },
        },
        exclusive: new Exclusive(),
        orphans: new Orphans(systemProcessTable, systemClock),
        hotplug: new HotplugDirectories(driver),
        blocks: storage.blocks,
        links: systemNetworkLinks,
      };
      blocks = storage.blocks;
      script = {
        add: (device) => device.scripts.run("block", SCRIPT, "add", patient),
        remove: (device) => device.scripts.run("block", SCRIPT, "remove", patient),
      };
      native = {
        add: (device) => addNative(device, blocks, patient),
        remove: (device) => removeNative(device, blocks, patient),
      };
    });

    afterEach(async () => {
      const look = () =>
        execFileSync("losetup", ["-a"], { encoding: "utf8" }).split("\n")
          .filter((line) => line.includes(directory));
      // The kernel detaches one that somebody has open (losetup -a, of anybody's) when that is closed.
      let left = look();
      for (let tries = 0; left.length > 0 && tries < 100; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        left = look();
      }
      for (const line of left) execFileSync("losetup", ["-d", line.split(":")[0]!]);
      undoRecords.clear();
      expect(left).toEqual([]);
    });

    afterAll(async () => {
      dom0.close();
      driver.close();
      await server.stop();
      fs.rmSync(directory, { recursive: true });
    });

    function image(name: string, mode = 0o644): string {
      const path = join(directory, name);
      const bytes = new Uint8Array(SIZE);
      for (let at = 0; at < SIZE; at += 65536) {
        crypto.getRandomValues(bytes.subarray(at, at + 65536));
      }
      fs.writeFileSync(path, bytes);
      fs.chmodSync(path, mode);
      return path;
    }

    /** The device as a plugin sees it. */
    function asPluginSees(id: DeviceId): Device {
      const key = `vbd/${id.frontendDomid}/${id.devid}`;
      let held: Held = NOTHING_HELD;
      const silent = () => {};
      const log = { debug: silent, info: silent, warning: silent, error: silent };
      return deviceContext(id, parts, log, {
        get: () => undoRecords.get(key)?.undo ?? {},
        add: (more) => {
          const undo = { ...undoRecords.get(key)?.undo, ...more };
          undoRecords.set(key, { guest: id.frontendDomid, undo });
        },
        heldElsewhere: (name, value, by) =>
          holdersIn(undoRecords, key, id.frontendDomid, name, value, by).length > 0,
        holders: (name, value, by) =>
          holdersIn(undoRecords, key, id.frontendDomid, name, value, by),
        heldValues: (name) => valuesIn(undoRecords, name),
        held: () => held,
        hold: (more) => held = { ...held, ...more },
      }, {
        attachId: null,
        activity: new Activity(systemClock),
        environment: {},
        copy: {},
        deviceModel: new FakeDevice(new FakeMachine(), id, {}).deviceModel,
        server: new FakeDevice(new FakeMachine(), id, {}).server,
        children: new FakeDevice(new FakeMachine(), id, {}).children,
        directories: new FakeDevice(new FakeMachine(), id, {}).directories,
        kept: new FakeDevice(new FakeMachine(), id, {}).kept,
        timeLeft: () => 10_000,
        frontendKind: "vbd",
        lockOwner: "",
        settings: {},
      });
    }

    let devid = 51712;

    /** A device that the kernel has brought to state 2. */
    async function disk(nodes: Record<string, string>) {
      devid += 16;
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid };
      const store = new HandMadeDevice(dom0, id);
      await store.create({ script: SCRIPT, state: "2", ...nodes });
      return { store, device: asPluginSees(id) };
    }

    /** What an attach leaves: its nodes, with the number of its loop device taken out, and traits. */
    async function outcome(store: HandMadeDevice): Promise<Record<string, unknown>> {
      const nodes = await store.nodes();
      const { node } = nodes;
      for (const name of ["frontend", "params"]) delete nodes[name];
      if (node === undefined) return nodes;
      const loop = node.slice("/dev/".length);
      const minor = Number(loop.slice("loop".length)).toString(16);
      expect(nodes).toMatchObject({
        "physical-device": `7:${minor}`,
        "physical-device-path": node,
      });
      for (const name of ["node", "physical-device", "physical-device-path"]) nodes[name] = "loop";
      const traits = TRAITS.map((name) => {
        const path = `/sys/block/${loop}/${name}`;
        return [name, fs.existsSync(path) ? fs.readFileSync(path, "utf8") : null];
      });
      return { ...nodes, ...Object.fromEntries(traits) };
    }

    /** What comes of a device; `use` is called while it is attached. */
    async function lifeOf(
      way: Way,
      nodes: Record<string, string>,
      use: (node: string | undefined) => void = () => {},
    ): Promise<Record<string, unknown>> {
      const { store, device } = await disk(nodes);
      await way.add(device);
      const result = await outcome(store);
      use(await store.read("node"));
      await way.remove(device);
      await store.nuke();
      return result;
    }

    for (const mode of ["r", "w", "w!"]) {
      test(`a file, mode ${mode}: the same nodes, the same disk, the same bytes`, async () => {
        const path = image(`file-${mode}`);
        const copy = join(directory, `copy-${mode}`);
        fs.copyFileSync(path, copy);
        const bytes = fs.readFileSync(path);
        const use = (node = "") => {
          expect(fs.readFileSync(node)).toEqual(bytes);
          const file = fs.openSync(node, mode === "r" ? "r" : "r+");
          const write = () => fs.writeSync(file, "written by the guest", 4096);
          if (mode === "r") expect(write).toThrow();
          else write();
          fs.closeSync(file);
        };
        const byScript = await lifeOf(script, { params: path, mode }, use);
        expect(byScript).toMatchObject({ "hotplug-status": "connected", node: "loop" });
        expect(await lifeOf(native, { params: copy, mode }, use)).toEqual(byScript);
        expect(fs.readFileSync(copy)).toEqual(fs.readFileSync(path));
        expect(fs.readFileSync(copy).includes("written by the guest")).toBe(mode !== "r");
      });
    }

    test("through a symbolic link; with a size that is no multiple of 512", async () => {
      const path = image("odd");
      fs.truncateSync(path, SIZE - 100);
      fs.symlinkSync("odd", join(directory, "link"));
      const nodes = { params: join(directory, "link"), type: "file" };
      expect(await lifeOf(native, nodes)).toEqual(await lifeOf(script, nodes));
    });

    test("a block device, by its name, by a link", async () => {
      const node = execFileSync("losetup", ["-f", "--show", image("behind")], { encoding: "utf8" })
        .trim();
      try {
        fs.symlinkSync(node, join(directory, "disk"));
        for (const params of [node, join(directory, "disk")]) {
          for (const mode of ["r", "w"]) {
            const byScript = await lifeOf(script, { params, mode });
            expect(byScript).toMatchObject({ "physical-device-path": node });
            expect(await lifeOf(native, { params, mode })).toEqual(byScript);
          }
        }
        // The manual says that names are taken from /dev; the script does not know.
        const named = await lifeOf(native, { params: node.slice("/dev/".length) });
        expect(named).toMatchObject({
          "physical-device-path": node,
          "hotplug-status": "connected",
        });
      } finally {
        execFileSync("losetup", ["-d", node]);
      }
    });

    test("set up already: both leave everything as it is", async () => {
      const nodes = { params: image("twice"), "physical-device": "7:63" };
      for (const way of [script, native]) {
        const { store, device } = await disk(nodes);
        await way.add(device);
        expect(await store.read("hotplug-status")).toBeUndefined();
        expect(await store.read("node")).toBeUndefined();
        await store.nuke();
      }
    });

    test("refused by both, with the same status, and nothing left", async () => {
      const cases: readonly (readonly [Record<string, string>, string])[] = [
        [{ params: image("read-only", 0o444), mode: "w" }, "busy"],
        [{ params: "", mode: "w" }, "error"],
        [{ params: image("closed"), mode: "w", state: "5" }, "error"],
        [{ params: image("modeless"), mode: "" }, "error"],
      ];
      for (const [nodes, status] of cases) {
        for (const way of [script, native]) {
          const { store, device } = await disk(nodes);
          await expect(way.add(device)).rejects.toThrow();
          // Other failures of a native add are published by the daemon.
          const published = way === script || status === "busy";
          expect(await store.read("hotplug-status")).toBe(published ? status : undefined);
          expect(await store.read("physical-device")).toBeUndefined();
          expect(await store.read("node")).toBeUndefined();
          if (way === native) await native.remove(device);
          await store.nuke();
        }
      }
    });

    test("one sets up, the other removes", async () => {
      for (const params of [image("first"), image("second")]) {
        const { store, device } = await disk({ params });
        await native.add(device);
        await script.remove(device);
        await native.remove(device);
        await store.nuke();
      }
    });

    test("a deleted directory and a deleted file: the record is enough", async () => {
      const params = image("forced");
      const { store, device } = await disk({ params });
      await native.add(device);
      expect(await checkDisk(device)).toEqual({});
      fs.rmSync(params);
      await store.nuke();
      await native.remove(device);
      await native.remove(device);
    });

    test("fault 16: a loop device that somebody detaches is noticed", async () => {
      const { store, device } = await disk({ params: image("detached") });
      await native.add(device);
      const node = await store.read("node") ?? "";
      execFileSync("losetup", ["-d", node]);
      expect(await checkDisk(device)).toEqual({ broken: `its loop device ${node} was detached` });
      execFileSync("losetup", [node, image("another")]);
      expect((await checkDisk(device)).broken).toMatch(/is another one by now$/);
      await native.remove(device);
      execFileSync("losetup", ["-d", node]);
    });

    test.each([0, 511])("a target of %d bytes: refused, and told of a script's", async (size) => {
      const params = image(`small-${size}`);
      fs.truncateSync(params, size);
      const refused = await disk({ params });
      await expect(native.add(refused.device)).rejects.toThrow(
        `it has ${size} bytes, and a disk has a sector of 512 or more`,
      );
      await native.remove(refused.device);
      await refused.store.nuke();
      const { store, device } = await disk({ params });
      await script.add(device);
      const number = await store.read("physical-device");
      const warned: string[] = [];
      const log = { ...device.log, warning: (text: string) => void warned.push(text) };
      await recordDisk({ ...device, log }, number);
      expect(warned).toEqual([
        `its block device ${number} has no sector: nothing can be read from it`,
      ]);
      await script.remove(device);
      await store.nuke();
    });

    test("an image that has shrunk is told; a disk without a sector left is lost", async () => {
      const params = image("shrinks");
      const { store, device } = await disk({ params });
      await native.add(device);
      fs.truncateSync(params, SIZE / 2);
      const notice =
        `its image ${JSON.stringify(params)} has shrunk to ${SIZE / 2} bytes, of which ` +
        `the guest has ${SIZE}: what it reads or writes beyond them fails`;
      expect(await checkDisk(device)).toEqual({ notices: [notice] });
      fs.truncateSync(params, 0);
      const node = await store.read("node") ?? "";
      execFileSync("losetup", ["-c", node]);
      const number = await store.read("physical-device");
      expect(await checkDisk(device)).toEqual({
        broken: `its block device ${number} has no sector left`,
      });
      await native.remove(device);
      await store.nuke();
    });

    test("fault 19: killed at any instant, the record is enough", async () => {
      const params = image("killed");
      const records = join(directory, "records");
      const { identity } = await blocks.describe(params);
      const stages = new Set<string>();
      for (let kill = 0; kill < 40; kill++) {
        fs.writeFileSync(records, "{}");
        const victim = Bun.spawn([process.execPath, nativeVictim, params, records], {
          stdout: "pipe",
        });
        await victim.stdout.getReader().read();
        // Half of them by the clock; the others, however loaded the machine is, when it is attached.
        if (kill % 2 === 0) await Bun.sleep(Math.random() * 8);
        else await until(() => fs.readFileSync(records, "utf8").includes('"use"'), () => "never");
        victim.kill("SIGKILL");
        await victim.exited;
        const { device } = await disk({ params });
        const undo = JSON.parse(fs.readFileSync(records, "utf8"));
        undoRecords.set(`vbd/${GUEST}/${device.id.devid}`, { guest: GUEST, undo });
        const left = await blocks.loops({ file: identity });
        expect(left.length).toBeLessThanOrEqual(1);
        stages.add(`${left.length} attached, ${"use" in undo ? "known" : "unknown"}`);
        await native.remove(device);
        expect(await blocks.loops({ file: identity })).toEqual([]);
        undoRecords.clear();
      }
      // With luck also: 1 attached, unknown. The tests on a made-up machine make sure of that one.
      expect(stages).toContain("1 attached, known");
    }, 60_000);

    test("a mounted device is refused by both; native mode sees it behind its file too", async () => {
      const path = image("mounted");
      fs.truncateSync(path, 8 * 1024 * 1024);
      execFileSync("/sbin/mkfs.ext4", ["-q", path]);
      const node = execFileSync("losetup", ["-f", "--show", path], { encoding: "utf8" }).trim();
      const point = join(directory, "mount point");
      fs.mkdirSync(point);
      execFileSync("mount", [node, point]);
      try {
        const refused = async (way: Way, params: string) => {
          const { store, device } = await disk({ params });
          await expect(way.add(device)).rejects.toThrow();
          expect(await store.read("hotplug-status")).toBe("busy");
          expect(await store.read("hotplug-error")).toMatch(/mounted/);
          await store.nuke();
        };
        await refused(script, node);
        await refused(native, node);
        await refused(native, path);
      } finally {
        execFileSync("umount", [point]);
        execFileSync("losetup", ["-d", node]);
      }
    });

    test("twelve at once, and the time it takes", async () => {
      const time = async (way: Way, name: string) => {
        const disks = await Promise.all(
          Array.from({ length: 12 }, (_, number) => disk({ params: image(`${name}-${number}`) })),
        );
        const start = performance.now();
        await Promise.all(disks.map(({ device }) => way.add(device)));
        const taken = (performance.now() - start) / disks.length;
        const loops = await Promise.all(disks.map(({ store }) => store.read("node")));
        expect(new Set(loops).size).toBe(disks.length);
        await Promise.all(disks.map(({ device }) => way.remove(device)));
        await Promise.all(disks.map(({ store }) => store.nuke()));
        return taken;
      };
      const [slow, fast] = [await time(script, "script"), await time(native, "native")];
      console.log(`an attach takes ${fast.toFixed(1)} ms, by script ${slow.toFixed(1)} ms`);
    }, 60_000);
  });
}
