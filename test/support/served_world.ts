/** A daemon, its server processes, and guests, without Xen: memory and events are files and sockets. */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { manifestInText } from "../../core/daemon/plugin/manifest.ts";
import { DeviceServers } from "../../core/daemon/servers/device_servers.ts";
import type { ActionParts } from "../../core/daemon/device/device_actions.ts";
import { type PluginHost, PluginRegistry, readyHost } from "../../core/daemon/plugin/host.ts";
import { DirectoryKeeper } from "../../core/daemon/capabilities/directories.ts";
import { CHILD_VARIABLE, ChildKeeper } from "../../core/daemon/capabilities/children.ts";
import { type DeviceId, frontendPath } from "../../core/xen/device_id.ts";
import type { ServedPlugin } from "../../contract/v2/plugin.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemProcesses } from "../../platform/io/child.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { connectStream } from "../../platform/io/stream.ts";
import { systemProcessTable } from "../../platform/linux/process_table.ts";
import { type DeviceSpec, SimulatedToolstack } from "../../simulation/toolstack.ts";
import { SimulatedGuest } from "../../simulation/xen/simulated_xen.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { programCommand, until } from "./daemon_process.ts";
import { World } from "./simulated_domain.ts";

/** Whose servers are, of guest 7. */
export const SERVER_USER = 0x7fff_0000 + 7;

export class ServedWorld extends World {
  readonly directory = mkdtempSync("/tmp/xdevd-served-");
  readonly guest7 = new SimulatedGuest(`${this.directory}/xen`, 7);
  readonly #plugin: ServedPlugin;
  readonly #origin: string;

  /** @param file of the plugin, relative to the sources; null: it is compiled in */
  constructor(plugin: ServedPlugin, file: string | null) {
    super();
    mkdirSync(`${this.directory}/xen`);
    // The server becomes its owner.
    chmodSync(this.directory, 0o755);
    chownSync(`${this.directory}/xen`, SERVER_USER, SERVER_USER);
    this.#plugin = plugin;
    this.#origin = file === null ? "built-in" : `${this.directory}/plugin.js`;
    if (file === null) return;
    // In JavaScript, which the small binary runs, too; the transpiler drops the manifest with the comments.
    const text = readFileSync(new URL(`../../${file}`, import.meta.url).pathname, "utf8");
    const [head] = text.split("\n");
    const code = new Bun.Transpiler({ loader: "ts" }).transformSync(text);
    writeFileSync(this.#origin, `${head}\n${code}`);
  }

  override async startDaemon(): Promise<void> {
    const host = this.host();
    const children = new ChildKeeper(systemProcesses, systemProcessTable, systemClock);
    const servers = (store: StoreClient) =>
      new DeviceServers({
        store,
        clock: systemClock,
        command: programCommand(),
        connect: connectStream,
        files: systemFiles,
        simulated: `${this.directory}/xen`,
      });
    this.parts = {
      plugins: PluginRegistry.of(host),
      children,
      directories: new DirectoryKeeper(systemFiles, `${this.directory}/run`),
      ...this.own(),
    };
    this.more = (store) => ({ servers: servers(store) });
    await super.startDaemon();
  }

  /** What carries the plugin. */
  protected host(): PluginHost {
    const ready = readyHost(this.#plugin);
    if (this.#origin === "built-in") return ready;
    const manifest = manifestInText(readFileSync(this.#origin, "utf8"))!;
    return { ...ready, origin: this.#origin, manifest };
  }

  /** Further parts of the daemon. */
  protected own(): Partial<ActionParts> {
    return {};
  }

  /** As patient as libxl. */
  override toolstack(): SimulatedToolstack {
    return new SimulatedToolstack(this.dom0);
  }

  /** Creates a device as libxl does. */
  async attach(id: DeviceId, nodes: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.toolstack().create(this.spec(id, nodes));
  }

  spec(id: DeviceId, nodes: Readonly<Record<string, string>> = {}): DeviceSpec {
    return {
      id,
      frontendKind: id.kind,
      backend: { handle: String(id.devid), ...nodes },
      frontend: { handle: String(id.devid) },
    };
  }

  /** Publishes what a frontend offers, and its state. */
  async offer(id: DeviceId, nodes: Readonly<Record<string, string>>, state = 3): Promise<void> {
    const store = this.guestStore ??= await this.connect(7);
    const directory = frontendPath(id, id.kind);
    await store.transaction(async (t) => {
      for (const [name, value] of Object.entries(nodes)) {
        await t.write(`${directory}/${name}`, value);
      }
    });
    await store.write(`${directory}/state`, String(state));
  }
  guestStore: StoreClient | null = null;

  /** Ends all: whatever device there still is goes by force, and no process of this world's is left. */
  override async stop(): Promise<void> {
    const left = () => this.journal.entries().length > 0;
    if (left()) {
      await this.dom0.removeOptional("/local/domain/1/backend").catch(() => {});
      await until(async () => !left(), () => this.log.join("")).catch(() => {});
    }
    await super.stop();
    this.guest7.close();
    for (const pid of await this.#processes()) process.kill(pid, "SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Processes that work in this world's directory. */
  async #processes(): Promise<number[]> {
    const pids = [...(await systemProcessTable.withVariable(CHILD_VARIABLE)).keys()];
    const lines = await Promise.all(pids.map((pid) => systemProcessTable.commandLineOf(pid)));
    return pids.filter((_, at) => lines[at]!.some((part) => part.includes(`${this.directory}/`)));
  }
}
