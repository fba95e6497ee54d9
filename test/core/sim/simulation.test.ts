/** The simulated actors, each well-behaved and not, with the real daemon's code between them. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Exclusive } from "../../../core/daemon/exclusive.ts";
import { MemoryJournal } from "../../../core/daemon/journal/memory.ts";
import { Orphans } from "../../../core/daemon/orphans.ts";
import { Slots } from "../../../core/daemon/slots.ts";
import { systemProcessTable } from "../../../core/platform/process_table.ts";
import { Daemon } from "../../../core/daemon/daemon.ts";
import { backendPath, type DeviceId, frontendPath } from "../../../core/device/id.ts";
import { DEFAULT_LIMITS } from "../../../core/hotplug/run_script.ts";
import { configureLog } from "../../../core/log/log.ts";
import { DEFAULT_TIMES } from "../../../core/lifecycle/constants.ts";
import { systemClock } from "../../../core/platform/clock.ts";
import { systemFiles } from "../../../core/platform/files.ts";
import { systemProcesses } from "../../../core/platform/processes.ts";
import { createDomainHome } from "../../../core/sim/domains.ts";
import { type FrontendKnobs, SimulatedFrontend } from "../../../core/sim/frontend.ts";
import { type KernelKnobs, SimulatedKernel } from "../../../core/sim/kernel.ts";
import { diskSpec, nicSpec, SimulatedToolstack } from "../../../core/sim/toolstack.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { connectInProcess } from "../../../core/xenstored/in_process.ts";
import { XenstoreServer } from "../../../core/xenstored/server.ts";
import { definePlugin, type Device } from "../../../plugins/contract.ts";
import { PluginRegistry } from "../../../plugins/registry.ts";
import { until } from "../../support/daemon_process.ts";

const DISK: DeviceId = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };
const NIC: DeviceId = { backendDomid: 1, kind: "vif", frontendDomid: 7, devid: 0 };
const WAITS = { initMs: 400, destroyMs: 400 };
const disk = diskSpec(DISK, { target: "/image", script: "/script", vdev: "xvda" });
const nic = nicSpec(NIC, { mac: "00:16:3e:00:00:01", bridge: "br0", script: "/script" });

/** A plugin that does what a script would, and counts. */
class Recorder {
  readonly calls: string[] = [];
  fails = false;

  plugin() {
    const name = ({ id }: Device) => `${id.kind}/${id.devid}`;
    return definePlugin({
      name: "recorder",
      version: "1",
      api: 1,
      kinds: ["vbd", "vif"],
      add: async (device) => {
        this.calls.push(`add ${name(device)}`);
        if (this.fails) throw new Error("no such thing");
        await device.nodes.write({ "physical-device": "7:0", "hotplug-status": "connected" });
      },
      remove: async (device) => {
        this.calls.push(`remove ${name(device)}`);
      },
    });
  }
}

class World {
  readonly server = new XenstoreServer();
  readonly clients: StoreClient[] = [];
  readonly recorder = new Recorder();
  readonly log: string[] = [];
  readonly frontends: SimulatedFrontend[] = [];
  dom0!: StoreClient;
  kernel!: SimulatedKernel;
  daemon!: Daemon;
  readonly journal = new MemoryJournal();

  connect(domid: number): Promise<StoreClient> {
    return StoreClient.connect({
      clock: systemClock,
      connect: async () => connectInProcess(this.server, domid),
    }).then((client) => {
      this.clients.push(client);
      return client;
    });
  }

  async start(knobs: KernelKnobs = {}): Promise<this> {
    configureLog("debug", (line) => this.log.push(line));
    for (const domid of [1, 7]) this.server.introduce(domid);
    this.dom0 = await this.connect(0);
    await createDomainHome(this.dom0, { domid: 1, name: "driver", driverDomain: true });
    await createDomainHome(this.dom0, { domid: 7, name: "guest" });
    this.kernel = new SimulatedKernel(await this.connect(1), 1, systemClock, knobs);
    await this.kernel.start();
    this.daemon = new Daemon(1, {
      store: await this.connect(1),
      clock: systemClock,
      files: systemFiles,
      processes: systemProcesses,
      plugins: new PluginRegistry([this.recorder.plugin()]),
      scripts: {
        policy: { directories: ["/nowhere"], trustedUids: [0] },
        limits: DEFAULT_LIMITS,
        path: "/bin",
        environment: {},
      },
      times: { ...DEFAULT_TIMES, initWait: 200, hold: 30 },
      journal: this.journal,
      slots: new Slots(),
      orphans: new Orphans(systemProcessTable, systemClock),
      exclusive: new Exclusive(),
    });
    await this.daemon.start();
    return this;
  }

  async guest(id: DeviceId, knobs: FrontendKnobs = {}): Promise<SimulatedFrontend> {
    const device = { domid: 7, kind: id.kind, devid: id.devid };
    const frontend = new SimulatedFrontend(await this.connect(7), device, knobs);
    await frontend.start();
    this.frontends.push(frontend);
    return frontend;
  }

  toolstack(): SimulatedToolstack {
    return new SimulatedToolstack(this.dom0, WAITS);
  }

  state(id: DeviceId): Promise<string | undefined> {
    return this.dom0.readOptional(`${backendPath(id)}/state`);
  }

  async reaches(path: string, value: string): Promise<void> {
    await until(
      async () => await this.dom0.readOptional(path) === value,
      async () => `${path} is ${await this.dom0.readOptional(path)}\n${this.log.join("")}`,
    );
  }

  async stop(): Promise<void> {
    await this.daemon.stop(100);
    await this.kernel.stop();
    for (const frontend of this.frontends) await frontend.stop();
    for (const client of this.clients) client.close();
  }
}

describe("a simulated machine", () => {
  let world: World;

  beforeEach(() => {
    world = new World();
  });

  afterEach(() => world.stop());

  test("a disk and a network interface, attached and detached", async () => {
    await world.start();
    const toolstack = world.toolstack();
    for (const spec of [disk, nic]) {
      await toolstack.create(spec);
      const frontend = await world.guest(spec.id);
      await toolstack.waitForBackend(spec.id);
      await frontend.connected(1_000);
      expect(await world.state(spec.id)).toBe("4");
    }
    expect(world.kernel.opened(DISK)).toBe("7:0");
    for (const spec of [disk, nic]) await toolstack.remove(spec);
    expect(await world.dom0.exists(frontendPath(DISK, "vbd"))).toBeFalse();
    expect(await world.dom0.listOptional("/libxl/7/device")).toEqual([]);
    expect(world.recorder.calls)
      .toEqual(["add vbd/51712", "add vif/0", "remove vbd/51712", "remove vif/0"]);
    expect(world.daemon.devices.known).toEqual([]);
  });

  test("the same device number twice is refused by the toolstack", async () => {
    await world.start();
    await world.toolstack().create(disk);
    await expect(world.toolstack().create(disk)).rejects.toThrow(/exists already/);
  });

  test("attached again after a detach, many times", async () => {
    await world.start();
    const toolstack = world.toolstack();
    for (let round = 0; round < 10; round++) {
      await toolstack.create(disk);
      const frontend = await world.guest(DISK);
      await frontend.connected(1_000);
      await toolstack.remove(disk);
      await frontend.stop();
    }
    expect(world.recorder.calls.filter((call) => call.startsWith("add"))).toHaveLength(10);
    expect(world.recorder.calls.filter((call) => call.startsWith("remove"))).toHaveLength(10);
  });

  test("a guest that closes and comes back keeps its device, and no script runs again", async () => {
    await world.start();
    await world.toolstack().create(disk);
    const frontend = await world.guest(DISK);
    await frontend.connected(1_000);
    await frontend.close();
    await world.reaches(`${backendPath(DISK)}/state`, "6");
    await frontend.reconnect();
    await frontend.connected(1_000);
    expect(world.recorder.calls).toEqual(["add vbd/51712"]);
  });

  test("a setup that fails: the guest and the toolstack see it", async () => {
    await world.start();
    world.recorder.fails = true;
    const toolstack = world.toolstack();
    await toolstack.create(disk);
    await world.guest(DISK);
    await world.reaches(`${backendPath(DISK)}/hotplug-status`, "error");
    expect(await world.dom0.readText(`${backendPath(DISK)}/hotplug-error`)).toBe("no such thing");
    await world.reaches(`${frontendPath(DISK, "vbd")}/state`, "6");
    await toolstack.remove(disk);
    expect(world.recorder.calls).toEqual(["add vbd/51712", "remove vbd/51712"]);
  });

  test("a kernel that is never ready", async () => {
    await world.start({ neverReady: true });
    const toolstack = world.toolstack();
    await toolstack.create(disk);
    await expect(toolstack.waitForBackend(DISK)).resolves.toBeUndefined();
    await world.reaches(`${backendPath(DISK)}/hotplug-status`, "error");
    expect(await world.dom0.readText(`${backendPath(DISK)}/hotplug-error`))
      .toMatch(/did not reach state 2 \(InitWait\) within 0.2 s; it is in 1 \(Initialising\)/);
    expect(world.recorder.calls).toEqual([]);
    await toolstack.remove(disk);
  });

  test("a kernel that passes InitWait by", async () => {
    await world.start({ skipInitWait: true });
    await world.toolstack().create(disk);
    await (await world.guest(DISK)).connected(1_000);
    expect(world.recorder.calls).toEqual(["add vbd/51712"]);
  });

  test("a kernel that writes garbage", async () => {
    await world.start({ garbageState: "\x00\xffgarbage" });
    await world.toolstack().create(disk);
    await until(() => world.log.some((line) => line.includes("node state is")), () => "no line");
    expect(world.recorder.calls).toEqual([]);
  });

  test("a guest that does not let go: a graceful detach fails, a forced one does not", async () => {
    await world.start();
    const toolstack = world.toolstack();
    await toolstack.create(disk);
    await (await world.guest(DISK, { neverCloses: true })).connected(1_000);
    await expect(toolstack.remove(disk)).rejects.toThrow(/within 400 ms/);
    expect(world.recorder.calls).toEqual(["add vbd/51712"]);
    await toolstack.remove(disk, "force");
    expect(world.recorder.calls).toEqual(["add vbd/51712", "remove vbd/51712"]);
    expect(await world.dom0.exists(backendPath(DISK))).toBeFalse();
  });

  test("a kernel that never closes: a forced detach undoes the setup all the same", async () => {
    await world.start({ neverCloses: true });
    const toolstack = world.toolstack();
    await toolstack.create(disk);
    await (await world.guest(DISK)).connected(1_000);
    await toolstack.remove(disk, "force");
    await until(() => world.recorder.calls.length === 2, () => world.log.join(""));
    expect(world.recorder.calls).toEqual(["add vbd/51712", "remove vbd/51712"]);
  });

  test("a guest that dies", async () => {
    await world.start();
    await world.toolstack().create(disk);
    await (await world.guest(DISK)).connected(1_000);
    world.server.destroy(7);
    await until(async () => !await world.dom0.exists(backendPath(DISK)), () => world.log.join(""));
    expect(world.recorder.calls).toEqual(["add vbd/51712", "remove vbd/51712"]);
  });

  test("a guest that writes odd and huge values", async () => {
    await world.start();
    await world.toolstack().create(disk);
    const frontend = await world.guest(DISK, {
      extraNodes: { "ring-ref": "\x1b[31m".repeat(100), protocol: "", "sub/node": "x" },
    });
    await frontend.connected(1_000);
    await world.toolstack().remove(disk);
  });

  test("a driver domain sees no more than it should", async () => {
    await world.start();
    const driver = await world.connect(1);
    for (const path of ["/local/domain/7/vm", "/local/domain/7/device", "/libxl/7"]) {
      await expect(driver.read(path)).rejects.toThrow(/EACCES/);
    }
    await expect(driver.write("backend/vbd/8/1/state", "1")).rejects.toThrow(/EACCES/);
    await driver.write("data/x", "1");
    await driver.write("libxl/x", "1");
  });
});
