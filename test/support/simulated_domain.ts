/** A simulated machine (store, toolstack, kernel, guest) around the real daemon's code. */
import { tmpdir } from "node:os";
import { Daemon, type DaemonParts } from "../../core/daemon/daemon.ts";
import { DirectoryKeeper } from "../../core/daemon/capabilities/directories.ts";
import { MemoryJournal } from "../../core/daemon/journal/memory.ts";
import { systemParts } from "../../machine/system_parts.ts";
import { backendPath, type DeviceId } from "../../core/xen/device_id.ts";
import { DEFAULT_LIMITS } from "../../core/hotplug/run_script.ts";
import { callLimits, DEFAULT_TIMES } from "../../core/xen/times.ts";
import { configureLog } from "../../core/log/log.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { createDomainHome } from "../../simulation/domains.ts";
import { type FrontendKnobs, SimulatedFrontend } from "../../simulation/frontend.ts";
import { type KernelKnobs, SimulatedKernel } from "../../simulation/kernel.ts";
import { diskSpec, nicSpec, SimulatedToolstack } from "../../simulation/toolstack.ts";
import { StoreClient } from "../../core/xenstore/client.ts";
import { connectInProcess } from "../../simulation/xenstored/in_process.ts";
import { type ServerOptions, XenstoreServer } from "../../simulation/xenstored/server.ts";
import { type BackendPlugin, definePlugin, type Device } from "../../contract/v1/plugin.ts";
import { PluginRegistry, readyHost } from "../../core/daemon/plugin/host.ts";
import { until } from "./daemon_process.ts";

export const DISK: DeviceId = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };
export const NIC: DeviceId = { backendDomid: 1, kind: "vif", frontendDomid: 7, devid: 0 };
const WAITS = { initMs: 400, destroyMs: 400 };
export const disk = diskSpec(DISK, { target: "/image", script: "/script", vdev: "xvda" });
export const nic = nicSpec(NIC, { mac: "00:16:3e:00:00:01", bridge: "br0", script: "/script" });

/** A disk of another number. */
export function diskNumber(devid: number) {
  return diskSpec({ ...DISK, devid }, { target: "/image", script: "/script", vdev: "xvdb" });
}

/** A plugin that does what a script would, and counts. */
export class Recorder {
  readonly calls: string[] = [];
  fails = false;
  /** Runs within each call, and may take its time. */
  within: (call: "add" | "remove", device: Device, signal: AbortSignal) => Promise<void> =
    async () => {
    };

  plugin(more: Partial<BackendPlugin> = {}) {
    const name = ({ id }: Device) => `${id.kind}/${id.devid}`;
    return definePlugin({
      name: "recorder",
      version: "1",
      api: 1,
      kinds: ["vbd", "vif"],
      add: async (device, signal) => {
        this.calls.push(`add ${name(device)}`);
        await this.within("add", device, signal);
        if (this.fails) throw new Error("no such thing");
        await device.nodes.write({ "physical-device": "7:0", "hotplug-status": "connected" });
      },
      remove: async (device, signal) => {
        this.calls.push(`remove ${name(device)}`);
        await this.within("remove", device, signal);
      },
      ...more,
    });
  }
}

/** The machine. */
export class World {
  readonly server: XenstoreServer;
  readonly clients: StoreClient[] = [];
  readonly recorder = new Recorder();
  readonly log: string[] = [];
  readonly frontends: SimulatedFrontend[] = [];
  dom0!: StoreClient;
  kernel!: SimulatedKernel;
  daemon!: Daemon;
  #daemonStore: StoreClient | null = null;
  readonly journal = new MemoryJournal();

  /** @param options of the store */
  constructor(options: ServerOptions = {}) {
    this.server = new XenstoreServer(options);
  }

  connect(domid: number): Promise<StoreClient> {
    return StoreClient.connect({
      clock: systemClock,
      connect: async () => connectInProcess(this.server, domid),
    }).then((client) => {
      this.clients.push(client);
      return client;
    });
  }

  /** What differs from the usual daemon; also after the start, for the next one. */
  parts: Partial<DaemonParts> = {};
  plugin: Partial<BackendPlugin> = {};
  /** Likewise, of what needs the daemon's connection. */
  more: (store: StoreClient) => Partial<DaemonParts> = () => ({});

  async start(knobs: KernelKnobs = {}): Promise<this> {
    await this.startMachine(knobs);
    await this.startDaemon();
    return this;
  }

  /** The daemon is told of nothing any more. */
  deaf = false;

  /** The daemon's connection. */
  get daemonStore(): StoreClient {
    if (this.#daemonStore === null) throw new Error("no daemon yet");
    return this.#daemonStore;
  }

  /** All but the daemon. */
  async startMachine(knobs: KernelKnobs = {}): Promise<void> {
    configureLog("debug", (line) => this.log.push(line));
    for (const domid of [1, 7]) this.server.introduce(domid);
    this.dom0 = await this.connect(0);
    await createDomainHome(this.dom0, { domid: 1, name: "driver", driverDomain: true });
    await createDomainHome(this.dom0, { domid: 7, name: "guest" });
    this.kernel = new SimulatedKernel(await this.connect(1), 1, systemClock, knobs);
    await this.kernel.start();
  }

  /** A daemon, the first one or the next. */
  async startDaemon(): Promise<void> {
    const store = this.#daemonStore = await this.connect(1);
    const watch = store.watch.bind(store);
    store.watch = (path, handler, options) =>
      watch(path, (changed) => this.deaf ? undefined : handler(changed), options);
    this.daemon = new Daemon(1, {
      ...systemParts(store, [], `${tmpdir()}/xdevd-test-${process.pid}-state`),
      plugins: PluginRegistry.of(readyHost(this.recorder.plugin(this.plugin))),
      scripts: {
        policy: { directories: ["/nowhere"], trustedUids: [0] },
        limits: DEFAULT_LIMITS,
        path: "/bin",
        environment: {},
      },
      times: { ...DEFAULT_TIMES, initWait: 200, hold: 30 },
      journal: this.journal,
      directories: new DirectoryKeeper(systemFiles, `${tmpdir()}/xdevd-test-${process.pid}`),
      calls: callLimits(DEFAULT_TIMES),
      ...this.parts,
      ...this.more(store),
    });
    await this.daemon.start();
  }

  /** As a SIGKILL: nothing more is done or written, whatever was under way. */
  killDaemon(): void {
    this.#daemonStore?.close();
    this.daemon.stop(0).catch(() => {});
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

  /** Waits until a backend directory is gone. */
  async gone(id: DeviceId): Promise<void> {
    await until(async () => !await this.dom0.exists(backendPath(id)), () => this.log.join(""));
  }

  async stop(): Promise<void> {
    await this.daemon?.stop(100);
    await this.kernel?.stop();
    for (const frontend of this.frontends) await frontend.stop();
    for (const client of this.clients) client.close();
  }
}
