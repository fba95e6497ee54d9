/**
 * The daemon's own code, one device and the embedded store, between which nothing moves by itself:
 * toolstack, guest, kernel and whoever kills the daemon act between any two messages. There is no
 * regular look: what no event tells stays unseen.
 */
import { Daemon } from "../../../core/daemon/daemon.ts";
import { DirectoryKeeper } from "../../../core/daemon/capabilities/directories.ts";
import { MemoryJournal } from "../../../core/daemon/journal/memory.ts";
import { Orphans } from "../../../core/daemon/device/orphans.ts";
import { systemParts } from "../../../machine/system_parts.ts";
import { ATTACH_ID_NODE } from "../../../core/daemon/device/attach_id_node.ts";
import {
  backendPath,
  backendRoot,
  type DeviceId,
  frontendPath,
} from "../../../core/xen/device_id.ts";
import { DEFAULT_LIMITS } from "../../../core/hotplug/run_script.ts";
import { callLimits, DEFAULT_TIMES } from "../../../core/xen/times.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { SocketTransport } from "../../../core/xenstore/socket_transport.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";
import { definePlugin } from "../../../contract/v1/plugin.ts";
import { PluginRegistry, readyHost } from "../../../core/daemon/plugin/host.ts";
import { MortalJournal, noFiles, noProcesses } from "../../support/bare_machine.ts";
import { FakeClock, settle } from "../../support/fake_clock.ts";
import { makeDomain } from "../../support/hand_made.ts";
import { SteppedStream } from "../../support/stepped_stream.ts";

const GUEST = 7;
/** The driver domain, unless it is domain 0. */
const DRIVER = 1;
const NEVER_MS = 1e12;
/** Short enough to be over between two other things. */
const INIT_WAIT_MS = 300;
const TIMES = { ...DEFAULT_TIMES, resync: NEVER_MS, check: NEVER_MS, initWait: INIT_WAIT_MS };
/** Longer than all times that are waited for. */
const LONG_MS = 30_000;

/** A daemon with all that belongs to it alone. */
interface Life {
  /** The newest connection. */
  stream: SteppedStream;
  readonly journal: MortalJournal;
  readonly store: StoreClient;
  readonly daemon: Daemon;
  /** Ends the plugin's add that waits. */
  finish: (() => void) | null;
  started: boolean;
}

/** Who the daemon is to the store, and whether it may make directories beside its devices'. */
export type Standing = "domain 0" | "may make" | "may not make";

export class SteppedWorld {
  readonly #waits: boolean;
  readonly #standing: Standing;
  readonly #id: DeviceId;
  readonly #back: string;
  readonly #front: string;
  readonly #server = new XenstoreServer();
  readonly #clock = new FakeClock();
  readonly #journal = new MemoryJournal();
  #dom0!: StoreClient;
  #life: Life | null = null;
  /** The mark of the directory for which the plugin has set something up. */
  held: string | null = null;
  /** How often it was undone. */
  removals = 0;
  /** Processes that an earlier daemon has left, with their operations. */
  #left = new Map<number, string>();
  readonly faults: string[] = [];

  /** @param waits whether the kind waits for the kernel */
  constructor(waits: boolean, standing: Standing) {
    this.#waits = waits;
    this.#standing = standing;
    const backendDomid = standing === "domain 0" ? 0 : DRIVER;
    this.#id = { backendDomid, kind: "vbd", frontendDomid: GUEST, devid: 1 };
    this.#back = backendPath(this.#id);
    this.#front = frontendPath(this.#id, "vbd");
  }

  async begin(): Promise<void> {
    this.#dom0 = await StoreClient.connect({
      clock: this.#clock,
      connect: async () => connectInProcess(this.#server, 0),
    });
    // Whoever is to own a node must be known.
    for (const domid of [DRIVER, GUEST]) await this.#dom0.introduceDomain(domid, 1, 1);
    if (this.#standing === "domain 0") await this.#dom0.write("/local/domain/0/backend", "");
    else {
      await makeDomain(this.#dom0, DRIVER);
      const root = backendRoot(DRIVER);
      await this.#dom0.write(root, "");
      if (this.#standing === "may make") {
        await this.#dom0.setPermissions(root, [{ domid: DRIVER, access: "none" }]);
      }
    }
    await this.startDaemon();
  }

  async startDaemon(): Promise<void> {
    let stream!: SteppedStream;
    let life: Life | null = null;
    const store = await StoreClient.connect({
      clock: this.#clock,
      reconnect: true,
      connect: async () => {
        stream = new SteppedStream();
        this.#server.accept(stream.server, this.#id.backendDomid);
        if (life !== null) life.stream = stream;
        return new SocketTransport(stream.client, "stepped");
      },
    });
    const journal = new MortalJournal(this.#journal);
    const daemon = new Daemon(this.#id.backendDomid, {
      ...systemParts(store),
      clock: this.#clock,
      files: noFiles,
      orphans: new Orphans({ ...noProcesses, withVariable: async () => this.#left }, this.#clock),
      plugins: PluginRegistry.of(readyHost(this.#plugin(() => life!))),
      scripts: {
        policy: { directories: [], trustedUids: [0] },
        limits: DEFAULT_LIMITS,
        path: "/bin",
        environment: {},
      },
      times: TIMES,
      journal,
      directories: new DirectoryKeeper(noFiles, "/nowhere"),
      calls: callLimits(TIMES),
    });
    life = this.#life = { stream, journal, store, daemon, finish: null, started: false };
    const started = life;
    daemon.start().then(() => started.started = true, () => {});
    await settle();
  }

  #plugin(life: () => Life) {
    return definePlugin({
      name: "stepped",
      version: "1",
      api: 1,
      kinds: ["vbd"],
      waitsForBackend: this.#waits,
      add: async (device, signal) => {
        if (life().journal.isDead) return;
        if (this.held !== null) this.faults.push("added twice without a remove between");
        const mark = this.#journal.entries()[0]?.attachId ?? "";
        if (mark === "") this.faults.push("added without a record");
        this.held = mark;
        const there = this.#server.tree.get(`${this.#back}/${ATTACH_ID_NODE}`)?.value;
        // All that has happened is known to it.
        if (life().stream.isQuiet && new TextDecoder().decode(there) !== mark) {
          this.faults.push("added for a directory that is known to be another, or gone");
        }
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        promise.catch(() => {});
        life().finish = resolve;
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        if (await device.nodes.read("params") === undefined) throw new Error("no params");
        await promise;
        await device.nodes.write({ "hotplug-status": "connected" });
      },
      remove: async () => {
        if (life().journal.isDead) return;
        this.held = null;
        this.removals++;
      },
    });
  }

  /** Nothing more is done or written, whatever was under way. */
  async kill(): Promise<void> {
    const { store, journal, daemon } = this.#life!;
    journal.isDead = true;
    store.close();
    daemon.stop(0).catch(() => {});
    await settle();
  }

  /** The daemon is killed while it adds: the script goes on by itself. */
  async killBesideScript(): Promise<void> {
    const operation = this.#journal.entries()[0]?.operation;
    if (!operation) throw new Error("no operation is recorded");
    this.#left = new Map([[4711, operation]]);
    await this.kill();
  }

  /** That script succeeds, and ends. */
  async finishScript(): Promise<void> {
    await this.#dom0.write(`${this.#back}/hotplug-status`, "connected");
    this.#left.clear();
  }

  /** The connection is lost, with all that is under way; who is just starting ends then. */
  async cut(): Promise<void> {
    if (!this.#life!.started) {
      await this.kill();
      return await this.startDaemon();
    }
    this.#life!.stream.client.close();
    await settle();
  }

  async serve(count: number): Promise<void> {
    for (let at = 0; at < count && this.#life!.stream.serve(); at++) await settle();
  }

  async deliver(count: number): Promise<void> {
    for (let at = 0; at < count && this.#life!.stream.deliver(); at++) await settle();
  }

  async overtake(what: "event" | "answer", count: number): Promise<void> {
    for (let at = 0; at < count && this.#life!.stream.overtake(what); at++) await settle();
  }

  /** The plugin's add succeeds. */
  async finish(): Promise<void> {
    this.#life!.finish?.();
    this.#life!.finish = null;
    await settle();
  }

  async pass(ms: number): Promise<void> {
    await this.#clock.advance(ms);
  }

  /** Creates the device, in place of another one, if there is one, in the same transaction. @param more nodes */
  async create(state: number, more: Record<string, string> = {}): Promise<void> {
    await this.#dom0.transaction(async (t) => {
      await t.removeOptional(this.#back);
      await t.makeDirectory(this.#back);
      await t.makeDirectory(this.#front);
      const { backendDomid } = this.#id;
      // As libxl__device_generic_add (libxl_device.c) does.
      for (
        const [path, own, other] of [
          [this.#back, backendDomid, GUEST],
          [this.#front, GUEST, backendDomid],
        ] as const
      ) {
        await t.setPermissions(path, [{ domid: own, access: "none" }, {
          domid: other,
          access: "read",
        }]);
      }
      const nodes = {
        frontend: this.#front,
        "frontend-id": "7",
        online: "1",
        params: "x",
        ...more,
      };
      for (const [name, value] of Object.entries({ ...nodes, state: String(state) })) {
        await t.write(`${this.#back}/${name}`, value);
      }
      await t.write(`${this.#front}/state`, "1");
    });
  }

  /** What the toolstack has forgotten to give to the driver domain. */
  async denyBackend(): Promise<void> {
    const { backendDomid } = this.#id;
    const entries = await this.#dom0.list(this.#back);
    for (const path of [this.#back, ...entries.map((name) => `${this.#back}/${name}`)]) {
      await this.#dom0.setPermissions(path, [{ domid: 0, access: "none" }, {
        domid: backendDomid,
        access: "read",
      }]);
    }
  }

  /** Nothing is made by this. */
  async change(nodes: Record<string, string>): Promise<void> {
    if (!await this.#dom0.exists(this.#back)) return;
    for (const [name, value] of Object.entries(nodes)) {
      await this.#dom0.write(`${this.#back}/${name}`, value);
    }
  }

  async deleteBackend(): Promise<void> {
    await this.#dom0.removeOptional(this.#back);
  }

  async hideFrontend(): Promise<void> {
    await this.#dom0.removeOptional(this.#front);
  }

  async showFrontend(): Promise<void> {
    if (await this.#dom0.exists(this.#back)) await this.#dom0.write(`${this.#front}/state`, "1");
  }

  /** Until nothing is under way any more. */
  async quiet(): Promise<void> {
    while (!this.#life!.stream.isQuiet) {
      await this.serve(Infinity);
      await this.deliver(Infinity);
    }
  }

  /** Until nothing moves any more, whatever time passes. */
  async rest(): Promise<void> {
    for (let round = 0; round < 4; round++) {
      await this.quiet();
      await this.finish();
      await this.quiet();
      await this.pass(LONG_MS);
    }
  }

  /** What is known in the end. */
  async outcome() {
    const [record] = this.#journal.entries();
    return {
      phase: this.#life!.daemon.devices.stateOf(this.#id)?.phase ?? "unknown",
      mark: await this.#dom0.readOptional(`${this.#back}/${ATTACH_ID_NODE}`),
      status: await this.#dom0.readOptional(`${this.#back}/hotplug-status`),
      error: await this.#dom0.readOptional(`${this.#back}/hotplug-error`),
      exists: await this.#dom0.exists(this.#back),
      record: record === undefined ? null : { stage: record.stage, attachId: record.attachId },
      held: this.held,
    };
  }

  async end(): Promise<void> {
    await this.kill();
    this.#dom0.close();
  }
}
