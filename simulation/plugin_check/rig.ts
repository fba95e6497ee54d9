/** The machine that plugins are checked on: an embedded store, a simulated kernel, guest, toolstack. */
import { ChildKeeper } from "../../core/daemon/capabilities/children.ts";
import { Daemon } from "../../core/daemon/daemon.ts";
import type { ActionParts } from "../../core/daemon/device/device_actions.ts";
import { DeviceModels } from "../../core/daemon/capabilities/device_models.ts";
import { DirectoryKeeper } from "../../core/daemon/capabilities/directories.ts";
import { MemoryJournal } from "../../core/daemon/journal/memory.ts";
import { systemParts } from "../../machine/system_parts.ts";
import { openTransport } from "../../machine/connect.ts";
import { type Machine, simulatedMachine } from "../demo/machine.ts";
import { backendPath, type DeviceId, frontendPath } from "../../core/xen/device_id.ts";
import { callLimits, DEFAULT_TIMES } from "../../core/xen/times.ts";
import { makeLink, removeLink } from "../../platform/linux/network_links.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { systemProcesses } from "../../platform/io/child.ts";
import { systemProcessTable } from "../../platform/linux/process_table.ts";
import type { Processes } from "../../platform/types.ts";
import { createDomainHome } from "../domains.ts";
import { SimulatedFrontend } from "../frontend.ts";
import { type KernelEvents, SimulatedKernel } from "../kernel.ts";
import { type DeviceSpec, SimulatedToolstack } from "../toolstack.ts";
import { StoreClient } from "../../core/xenstore/client.ts";
import type { PluginManifest } from "../../contract/v1/plugin.ts";
import { type PluginHost, PluginRegistry } from "../../core/daemon/plugin/host.ts";
import { frontendKindOf } from "../../core/daemon/plugin/manifest.ts";
import type { GuestMemory } from "../../contract/v2/memory.ts";
import { DeviceServers } from "../../core/daemon/servers/device_servers.ts";
import { connectStream } from "../../platform/io/stream.ts";
import { selfCommand } from "../../platform/self.ts";
import { SimulatedGuest, type SimulatedPort } from "../xen/simulated_xen.ts";
import { changesBetween, type Inventory, takeInventory } from "./leftovers.ts";

/** Domids of the simulated machine. */
const DRIVER = 1;
const GUEST = 7;

/** What all processes of a check bear, with its directory: others are checked beside us. */
export const RIG_VARIABLE = "XDEVD_CHECK";

/** The bridge that there is where the check has interfaces of its own. */
export const RIG_BRIDGE = "xenbr0";

/** What a check has to itself. */
export interface Isolation {
  /** A mount namespace. */
  readonly mounts: boolean;
  /** A network namespace, with a bridge; the simulated kernel makes interfaces there. */
  readonly network: boolean;
}

/** How long guest and toolstack wait, in ms. */
export const PATIENCE_MS = 10_000;

/** How long the simulated kernel is waited for to make an interface, or to remove it, in ms. */
const INTERFACE_MS = 1_000;

/** How long a plugin has to end a call when it is told to, in ms. */
export const OBEY_MS = 1_500;

/** How long it has for a call, unless told otherwise, in ms. */
export const OPERATION_MS = 8_000;

/** The sample's settings. @param directory the rig's */
export function sampleSettings(
  { sample }: PluginManifest,
  directory: string,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(sample?.settings ?? {}).map(([name, value]) => [
      name,
      expandWork(value, directory),
    ]),
  );
}

function expandWork(text: string, directory: string): string {
  return text.replaceAll("{work}", workOf(directory));
}

function workOf(directory: string): string {
  return `${directory}/work`;
}

export interface RigOptions {
  /** Of its own, which exists. */
  readonly directory: string;
  readonly manifest: PluginManifest;
  /** Makes a host in which the plugin remembers nothing. */
  fresh(): Promise<PluginHost>;
  /** How long the plugin has for one call, in ms. */
  readonly operationMs?: number;
  readonly isolation: Isolation;
}

/** What netback does besides the store: the interface of a device is there before its state 2. */
function netbackOf(interfaces: Map<string, number>): KernelEvents {
  return {
    async registered({ kind, frontendDomid, devid }) {
      if (kind !== "vif") return;
      const number = `${frontendDomid}.${devid}`;
      const { index } = await makeLink(`vif${number}`, { peer: `peer${number}` });
      interfaces.set(number, index);
    },
    async unregistered({ kind, frontendDomid, devid }) {
      const number = `${frontendDomid}.${devid}`;
      const index = interfaces.get(number);
      if (kind !== "vif" || index === undefined) return;
      await removeLink(index);
      interfaces.delete(number);
    },
  };
}

/** What a guest and a server share. */
export interface SharedMemory {
  readonly memory: readonly GuestMemory[];
  readonly port: SimulatedPort;
}

/** A simulated machine, with its daemon's parts. */
export class Rig {
  readonly directory: string;
  readonly manifest: PluginManifest;
  readonly dom0: StoreClient;
  /** How long a plugin has for one call, in ms. */
  readonly operationMs: number;
  readonly #machine: Machine;
  readonly #clients: StoreClient[];
  readonly #kernel: SimulatedKernel;
  readonly #fresh: () => Promise<PluginHost>;
  readonly #hosts: PluginHost[] = [];
  readonly #frontends: SimulatedFrontend[] = [];
  readonly #isolation: Isolation;
  /** Where guests and grants are files. */
  readonly #xen: string;
  readonly #xenGuest: SimulatedGuest;
  /** What the guest shares with the server of a device, by the device's number. */
  readonly shared = new Map<number, SharedMemory>();
  /** Numbers of the interfaces that the simulated kernel has made, by device. */
  readonly #interfaces: Map<string, number>;

  private constructor(
    { directory, manifest, fresh, operationMs = OPERATION_MS, isolation }: RigOptions,
    machine: Machine,
    clients: StoreClient[],
    kernel: SimulatedKernel,
    interfaces: Map<string, number>,
  ) {
    this.operationMs = operationMs;
    this.directory = directory;
    this.manifest = manifest;
    this.#machine = machine;
    this.#clients = clients;
    this.dom0 = clients[0]!;
    this.#kernel = kernel;
    this.#fresh = fresh;
    this.#isolation = isolation;
    this.#xen = `${directory}/xen`;
    this.#xenGuest = new SimulatedGuest(this.#xen, GUEST);
    this.#interfaces = interfaces;
  }

  static async start(options: RigOptions): Promise<Rig> {
    const { directory, manifest, isolation } = options;
    const machine = await simulatedMachine(directory, [DRIVER, GUEST]);
    const clients: StoreClient[] = [];
    const connect = async (domid: number) => {
      const path = machine.socketPath(domid);
      const client = await StoreClient.connect({
        clock: systemClock,
        connect: () => openTransport({ kind: "socket", path }),
      });
      clients.push(client);
      return client;
    };
    const dom0 = await connect(0);
    await createDomainHome(dom0, { domid: DRIVER, name: "driver", driverDomain: true });
    await createDomainHome(dom0, { domid: GUEST, name: "guest" });
    const interfaces = new Map<string, number>();
    const kernel = new SimulatedKernel(await connect(DRIVER), DRIVER, systemClock, {
      pathOrNumber: true,
      otherKinds: manifest.server === undefined ? manifest.kinds : [],
      frontendKinds: Object.fromEntries(
        manifest.kinds.map((kind) => [kind, frontendKindOf(manifest, kind)]),
      ),
    }, isolation.network ? netbackOf(interfaces) : {});
    await kernel.start();
    await systemFiles.makeDirectory(`${directory}/xen`, 0o700);
    const rig = new Rig(options, machine, clients, kernel, interfaces);
    await rig.#writeSample();
    return rig;
  }

  async stop(): Promise<void> {
    await this.#kernel.stop();
    for (const frontend of this.#frontends) await frontend.stop();
    this.#xenGuest.close();
    await Promise.all(this.#hosts.map((host) => host.close()));
    for (const client of this.#clients) client.close();
    await this.#machine.stop();
  }

  /** Where the sample's files are. */
  get work(): string {
    return workOf(this.directory);
  }

  /** Identity of a device of the plugin's first kind. */
  device(devid: number): DeviceId {
    const kind = this.manifest.kinds[0]!;
    return { backendDomid: DRIVER, kind, frontendDomid: GUEST, devid };
  }

  /** Kind of a device's frontend directory. */
  frontendKind({ kind }: DeviceId): string {
    return frontendKindOf(this.manifest, kind);
  }

  /** A host in which nothing is left of what the plugin did before. */
  async freshHost(): Promise<PluginHost> {
    const host = await this.#fresh();
    this.#hosts.push(host);
    return host;
  }

  /** The device as a toolstack would describe it. @param more nodes in place of the sample's */
  spec(id: DeviceId, more: Readonly<Record<string, string>> = {}): DeviceSpec {
    const backend = {
      "hotplug-status": "",
      ...this.#usual(id),
      ...this.#sample(id.devid),
      ...more,
    };
    return { id, frontendKind: this.frontendKind(id), backend, frontend: {} };
  }

  /** What every toolstack says of such a device, as far as the kernel or a plugin needs it. */
  #usual({ kind, devid }: DeviceId): Record<string, string> {
    if (kind === "vbd") return { mode: "w", type: "phy", "device-type": "disk" };
    if (kind !== "vif") return {};
    const nodes = { handle: String(devid), script: `${this.work}/scripts/vif`, mac: MAC };
    return this.#isolation.network ? { ...nodes, bridge: RIG_BRIDGE } : nodes;
  }

  /** Waits until a device's interface is there, as the daemon waits before an add. */
  async kernelReady({ kind, frontendDomid, devid }: DeviceId): Promise<void> {
    if (!this.#isolation.network || kind !== "vif") return;
    // With nodes that make no sense there will be none.
    const there = () => this.#interfaces.has(`${frontendDomid}.${devid}`);
    await this.#until(there, INTERFACE_MS);
  }

  /** Waits until nothing is left of the interface of a device whose directory is gone. */
  async kernelDone({ frontendDomid, devid }: DeviceId): Promise<void> {
    const number = `${frontendDomid}.${devid}`;
    await this.#until(() => !this.#interfaces.has(number), INTERFACE_MS);
    const index = this.#interfaces.get(number);
    if (index !== undefined) await removeLink(index);
    this.#interfaces.delete(number);
  }

  async #until(holds: () => boolean, ms: number): Promise<void> {
    const end = systemClock.now() + ms;
    while (!holds() && systemClock.now() < end) {
      await new Promise<void>((resolve) => void systemClock.after(10, resolve));
    }
  }

  /** Nodes of the sample's backend. */
  get sampleNodes(): readonly string[] {
    return Object.keys(this.#sample(0));
  }

  toolstack(): SimulatedToolstack {
    return new SimulatedToolstack(this.dom0, { initMs: 3_000, destroyMs: PATIENCE_MS });
  }

  async guest(id: DeviceId): Promise<SimulatedFrontend> {
    const kind = this.frontendKind(id);
    const path = this.#machine.socketPath(GUEST);
    const client = await StoreClient.connect({
      clock: systemClock,
      connect: () => openTransport({ kind: "socket", path }),
    });
    this.#clients.push(client);
    const device = { domid: GUEST, kind, devid: id.devid };
    const frontend = new SimulatedFrontend(client, device, { extraNodes: await this.#shared(id) });
    await frontend.start();
    this.#frontends.push(frontend);
    return frontend;
  }

  /** What the guest of a device shares with its server, and tells of it; nothing where there is none. */
  async #shared({ devid }: DeviceId): Promise<Record<string, string>> {
    const { server } = this.manifest;
    if (server === undefined) return {};
    const grants = server.pages.map(({ references, access }) =>
      this.#xenGuest.grant(references.length, access)
    );
    const port = await this.#xenGuest.openPort();
    this.shared.set(devid, { memory: grants.map(({ memory }) => memory), port });
    const references = server.pages.flatMap(({ references }, at) =>
      references.map((name, index) => [name, String(grants[at]!.references[index])])
    );
    const features = (server.nodes ?? []).filter((name) => name.startsWith("feature-"));
    return {
      ...Object.fromEntries([...references, ...features.map((name) => [name, "1"])]),
      [server.eventChannel ?? "event-channel"]: String(port.number),
    };
  }

  /** What the daemon does its work with; its store connection acts as the driver domain. */
  async parts(journal = new MemoryJournal()): Promise<ActionParts> {
    const path = this.#machine.socketPath(DRIVER);
    const store = await StoreClient.connect({
      clock: systemClock,
      connect: () => openTransport({ kind: "socket", path }),
    });
    this.#clients.push(store);
    const processes = marked(this.directory);
    return {
      ...systemParts(store, [], `${this.directory}/state`),
      processes,
      children: new ChildKeeper(processes, systemProcessTable, systemClock),
      servers: new DeviceServers({
        store,
        clock: systemClock,
        command: selfCommand(),
        connect: connectStream,
        files: systemFiles,
        simulated: this.#xen,
      }),
      deviceModels: new DeviceModels(store, processes, systemProcessTable, systemClock),
      journal,
      directories: new DirectoryKeeper(systemFiles, `${this.directory}/run`),
      calls: { operationMs: this.operationMs, graceMs: OBEY_MS },
      scripts: {
        policy: {
          directories: [`${this.work}/scripts`],
          trustedUids: [0, (await systemFiles.stat(this.directory)).uid],
        },
        limits: { timeoutMs: this.operationMs, killGraceMs: 500 },
        path:
          `${this.directory}/tools:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
        environment: { XENSTORED_PATH: path },
      },
    };
  }

  /** A daemon with the plugin, as `devd` would run it. */
  async daemon(journal: MemoryJournal): Promise<Daemon> {
    const daemon = new Daemon(DRIVER, {
      ...await this.parts(journal),
      calls: callLimits(DEFAULT_TIMES),
      plugins: PluginRegistry.of(await this.freshHost()),
      times: { ...DEFAULT_TIMES, hold: 20, kernelRelease: 200 },
    });
    await daemon.start();
    return daemon;
  }

  /** Everything that the plugin could have made, but for the nodes of these devices. */
  async inventory(...ids: readonly DeviceId[]): Promise<Inventory> {
    return await takeInventory({
      files: systemFiles,
      table: systemProcessTable,
      dom0: this.dom0,
      directory: this.work,
      loopDirectory: this.directory,
      variable: RIG_VARIABLE,
      value: this.directory,
      ownMounts: this.#isolation.mounts,
      ownNetwork: this.#isolation.network,
      exempt: [
        "/libxl/7",
        "/local/domain/1/error",
        "/local/domain/1/data/xdevd",
        ...ids.flatMap((id) => [
          backendPath(id),
          frontendPath(id, this.frontendKind(id)),
          `/local/domain/1/libxl/hotplug/${id.kind}/${id.frontendDomid}/${id.devid}`,
        ]),
      ],
    });
  }

  /** What has changed since; waits a moment for what is on its way out. */
  async changesSince(before: Inventory, ...ids: readonly DeviceId[]): Promise<string[]> {
    let changes: string[] = [];
    for (let tries = 0; tries < 10; tries++) {
      changes = changesBetween(before, await this.inventory(...ids));
      if (changes.length === 0) break;
      await new Promise<void>((resolve) => void systemClock.after(30, resolve));
    }
    return changes;
  }

  #sample(devid: number): Record<string, string> {
    const { backend = {} } = this.manifest.sample ?? {};
    const number = String(devid).padStart(12, "0");
    return Object.fromEntries(
      Object.entries(backend).map((
        [name, value],
      ) => [name, this.#expand(value).replaceAll("{device}", number)]),
    );
  }

  #expand(text: string): string {
    return expandWork(text, this.directory);
  }

  async #writeSample(): Promise<void> {
    const scripts = `${this.work}/scripts`;
    await systemFiles.makeDirectory(scripts, 0o755);
    const block = await systemFiles.readText(this.#machine.script);
    await systemFiles.writeText(`${scripts}/block`, block, 0o755);
    await systemFiles.writeText(`${scripts}/vif`, NETWORK_SCRIPT, 0o755);
    await systemFiles.writeText(`${scripts}/qemu`, DEVICE_MODEL, 0o755);
    for (const [path, text] of Object.entries(this.manifest.sample?.files ?? {})) {
      const file = this.#expand(path);
      if (!file.startsWith(`${this.work}/`) || file.includes("..")) continue;
      await systemFiles.makeDirectory(file.slice(0, file.lastIndexOf("/")), 0o755);
      await systemFiles.writeText(file, text);
    }
  }
}

function marked(directory: string): Processes {
  return {
    start: (spec) =>
      systemProcesses.start({ ...spec, env: { ...spec.env, [RIG_VARIABLE]: directory } }),
  };
}

/** Of the addresses that are Xen's to give (OUI 00:16:3e). */
const MAC = "00:16:3e:00:00:01";

/** What every network script does in the end. */
const NETWORK_SCRIPT = `#!/bin/sh
set -eu
case $1 in
online|add) xenstore-write "$XENBUS_PATH/hotplug-status" connected ;;
esac
`;

/** What a QEMU that is started with `-xen-domid N` does first; the kernel does the rest here. */
const DEVICE_MODEL = `#!/bin/sh
set -eu
xenstore-write "device-model/$2/state" running
exec sleep 600
`;
