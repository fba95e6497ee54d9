/** The requests to a driver domain: one watch, and a lane for each. */
import type { DeviceId } from "../../xen/device_id.ts";
import { type Log, openLog } from "../../log/log.ts";
import {
  claimRoot,
  presencePath,
  type RequestId,
  requestKindOf,
  requestOfPath,
  requestPath,
  requestRoot,
} from "../protocol/paths.ts";
import { parseRequest } from "../protocol/request.ts";
import { serve, type Serving } from "../protocol/serve.ts";
import { absentOrHidden } from "../../xenstore/access.ts";
import type { Watch } from "../../xenstore/watches.ts";
import { isWithin } from "../../xenstore/paths.ts";
import type { PluginRegistry } from "../../daemon/plugin/host.ts";
import type { Devices } from "../../daemon/devices.ts";
import { isRegistered } from "../../daemon/device/kernel_release.ts";
import { type RequestActions, RequestLane } from "./lane.ts";
import { checkScript } from "../../hotplug/path_rules.ts";
import { V2Session } from "../../hotplug/v2/session.ts";
import type { HotplugDirectories } from "../../daemon/capabilities/hotplug_directory.ts";
import { type ScriptParts, v2Parts } from "../../daemon/capabilities/script_parts.ts";

/** How a driver domain takes requests. */
export interface RequestSettings {
  /** What it says of itself, such as `1.0.0 BOOT-ID`. */
  readonly presence: string;
  /** How image files are served when a request does not say. */
  readonly files: "loop" | "qdisk";
}

/** What is needed for it. */
interface RequestParts extends PrepareParts {
  readonly plugins: PluginRegistry;
}

/** Takes requests from `start` to `stop`. */
export class Requests {
  readonly #domid: number;
  readonly #parts: RequestParts;
  readonly #devices: Devices;
  readonly #settings: RequestSettings;
  readonly #lanes = new Map<string, RequestLane>();
  readonly #log = openLog();
  #watch: Watch | null = null;
  #listing: Promise<void> = Promise.resolve();
  #present = false;
  #stopped = false;

  constructor(domid: number, parts: RequestParts, devices: Devices, settings: RequestSettings) {
    this.#domid = domid;
    this.#parts = parts;
    this.#devices = devices;
    this.#settings = settings;
  }

  /** Arms the watch; its first event makes it look at all there is. @throws StoreError */
  async start(): Promise<void> {
    this.#watch = await this.#parts.store.watch(
      requestRoot(this.#domid),
      (path) => this.#changed(path),
    );
  }

  /** Looks at all there is; also for what no event told. */
  touchAll(): void {
    for (const lane of this.#lanes.values()) lane.touch();
    this.#listing = this.#listing.then(() => this.#list()).catch((error) =>
      this.#log.warning(`requests cannot be listed: ${(error as Error).message}`)
    );
  }

  /** A device's lane has moved. */
  deviceChanged(device: DeviceId): void {
    this.#lanes.get(requestPath({ ...device, kind: requestKindOf(device.kind) }))?.touch();
  }

  /** Requests stay as they are, for the next daemon. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#watch?.close({ timeoutMs: 1_000 }).catch(() => {});
    await this.#listing;
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop()));
    if (!this.#present) return;
    await this.#parts.store.write(presencePath(this.#domid), "", { timeoutMs: 1_000 })
      .catch(() => {});
  }

  get count(): number {
    return this.#lanes.size;
  }

  /** Phases, by the names of requests. */
  get phases(): Record<string, string> {
    return Object.fromEntries([...this.#lanes].map(([path, { phase }]) => [path, phase]));
  }

  #changed(path: string): void {
    if (path === presencePath(this.#domid)) return;
    const root = requestRoot(this.#domid);
    const id = requestOfPath(path, root, this.#domid);
    if (id !== undefined) return this.#touch(id);
    if (isWithin(path, root) || isWithin(root, path)) this.touchAll();
  }

  #touch(id: RequestId): void {
    if (this.#stopped) return;
    const path = requestPath(id);
    let lane = this.#lanes.get(path);
    if (lane === undefined) {
      const log = openLog(this.#devices.names.subjectOf(id));
      lane = new RequestLane(id, this.#actions(), log, () => {
        if (this.#lanes.get(path) === lane) this.#lanes.delete(path);
      });
      this.#lanes.set(path, lane);
    }
    lane.touch();
  }

  async #list(): Promise<void> {
    await this.#announce();
    for (const root of [requestRoot(this.#domid), claimRoot(this.#domid)]) {
      for (const kind of await this.#children(root)) {
        for (const guest of await this.#children(`${root}/${kind}`)) {
          for (const devid of await this.#children(`${root}/${kind}/${guest}`)) {
            const id = requestOfPath(`${root}/${kind}/${guest}/${devid}`, root, this.#domid);
            if (id !== undefined) this.#touch(id);
          }
        }
      }
    }
  }

  /** Where the toolstack has made the node for it: that is how it says that there may be requests. */
  async #announce(): Promise<void> {
    const { store } = this.#parts;
    const path = presencePath(this.#domid);
    const now = await store.readVisible(path);
    if (now === undefined || now === this.#settings.presence || this.#stopped) return;
    await store.transaction(async (t) => {
      if (await absentOrHidden(t.read(path)) === undefined) return;
      await t.write(path, this.#settings.presence);
    });
    if (!this.#present) this.#log.info("takes requests");
    this.#present = true;
  }

  async #children(path: string): Promise<string[]> {
    return await absentOrHidden(this.#parts.store.list(path)) ?? [];
  }

  #actions(): RequestActions {
    const { store, clock, files } = this.#parts;
    return {
      store,
      clock,
      phaseOf: (id) => this.#devices.stateOf(id)?.phase,
      errorOf: (id) => this.#devices.stateOf(id)?.error ?? undefined,
      isRegistered: (id) => isRegistered(files, id),
      serve: (id, nodes) => this.#serve(id, nodes),
      prepare: (serving, log, signal) => prepare(this.#parts, serving, log, signal),
      unprepare: (id, log, signal) => unprepare(this.#parts, id, log, signal),
    };
  }

  async #serve(id: RequestId, nodes: Readonly<Record<string, string>>): Promise<Serving> {
    const request = parseRequest(nodes);
    const { plugins, scripts } = this.#parts;
    return serve(id, request, {
      serves: (kind) => plugins.find(kind) !== undefined,
      target: await this.#targetOf(request.params),
      files: this.#settings.files,
      scriptDirectory: scripts.policy.directories[0] ?? "/etc/xen/scripts",
    });
  }

  async #targetOf(params: string): Promise<"block device" | "file" | "other" | undefined> {
    if (!params.startsWith("/")) return undefined;
    try {
      const { kind } = await this.#parts.files.stat(params);
      return kind === "block" ? "block device" : kind === "file" ? "file" : "other";
    } catch {
      return undefined;
    }
  }
}

/** What preparing takes. */
interface PrepareParts extends ScriptParts {
  readonly hotplug: HotplugDirectories;
}

/**
 * Has the script of a block device do ahead what takes long; nothing for scripts of version 1. What
 * is prepared stays so until the device's lane takes it over, or `unprepare`.
 * @throws Error; `unprepare` is to follow
 */
async function prepare(
  parts: PrepareParts,
  { id, nodes }: Serving,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const { v2, policy } = parts.scripts;
  const value = (name: string) => nodes.find(([other]) => other === name)?.[1] ?? "";
  const script = value("script");
  if (v2 === undefined || id.kind !== "vbd" || script === "") return;
  const path = await checkScript(parts.files, script, policy);
  if (await v2.versions.find(path) === 1) return;
  await exclusively(parts, id, log, signal, async (session) => {
    const target = { script: path, params: value("params") };
    if (session.record?.stage === "prepared") {
      const { script: other, params } = session.target;
      if (other !== path || params !== target.params) {
        throw new Error(`it is prepared by ${other} for another target`);
      }
      return await session.hold(true);
    }
    if (await v2.versions.find(path) === undefined) {
      const version = await session.probe(target) ? 2 : 1;
      await v2.versions.learn(path, version);
    }
    signal.throwIfAborted();
    if (await v2.versions.find(path) === 2) await session.prepare(target, true);
  });
}

/** Undoes that, unless the device's lane has; may be called for what was never prepared. */
async function unprepare(
  parts: PrepareParts,
  id: DeviceId,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  if (parts.scripts.v2 === undefined || await parts.hotplug.record(id) === null) return;
  await exclusively(parts, id, log, signal, async (session) => {
    if (session.record === null || session.record.attached) return;
    await session.hold(false);
    await session.release();
  });
}

async function exclusively(
  parts: PrepareParts,
  id: DeviceId,
  log: Log,
  signal: AbortSignal,
  work: (session: V2Session) => Promise<void>,
): Promise<void> {
  const { v2 } = parts.scripts;
  if (v2 === undefined) return;
  const session = await v2Parts(id, parts, v2, parts.hotplug, log, {});
  await v2.locks.run(
    id,
    signal,
    async () => await work(await V2Session.open(session, signal)),
  );
}
