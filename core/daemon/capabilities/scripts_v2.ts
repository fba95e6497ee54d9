/** A device's version 2 hotplug script, as the daemon runs it for an attach and a detach. */
import { backendPath, type DeviceId, relativeBackendPath } from "../../xen/device_id.ts";
import { ScriptFailed } from "../../hotplug/run_script.ts";
import { FRESH, type V2Record } from "../../hotplug/v2/convention.ts";
import { type V2Parts, V2Session, type V2Target } from "../../hotplug/v2/session.ts";
import type { ScriptVersion } from "../../hotplug/v2/version.ts";
import type { Log } from "../../log/log.ts";
import type { DeviceNodes } from "../../../contract/v1/plugin.ts";
import { domainPath } from "../../xenstore/paths.ts";
import type { Activity } from "../activity.ts";
import { COPY_BASE, withCopy } from "../device/node_backup.ts";
import type { HotplugDirectories } from "./hotplug_directory.ts";
import { type ScriptParts, v2Parts, type V2Settings } from "./script_parts.ts";
import { quote } from "../device/observer.ts";
import { type Held, isVersion2, type V2Progress } from "../journal/held.ts";

/** Where it is kept what the daemon holds for the device. */
export interface HeldStore {
  held(): Held;
  /** @throws Error when it cannot be written */
  hold(more: Partial<Held>): void;
}

/** The script of one device. */
export class HotplugV2 {
  readonly #id: DeviceId;
  readonly #nodes: DeviceNodes;
  readonly #parts: ScriptParts;
  readonly #v2: V2Settings;
  readonly #hotplug: HotplugDirectories;
  readonly #held: HeldStore;
  readonly #log: Log;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #activity: Activity;
  readonly #check: (script: string) => Promise<string>;
  /** What scripts of this call of a plugin have answered: none changes its version meanwhile. */
  readonly #known = new Map<string, ScriptVersion>();

  /** @param check what a script is run as; throws ScriptRefused when it is not safe */
  constructor(
    id: DeviceId,
    nodes: DeviceNodes,
    parts: ScriptParts & { readonly hotplug: HotplugDirectories },
    v2: V2Settings,
    held: HeldStore,
    log: Log,
    environment: Readonly<Record<string, string>>,
    activity: Activity,
    check: (script: string) => Promise<string>,
  ) {
    this.#id = id;
    this.#nodes = nodes;
    this.#parts = parts;
    this.#v2 = v2;
    this.#hotplug = parts.hotplug;
    this.#held = held;
    this.#log = log;
    this.#environment = environment;
    this.#activity = activity;
    this.#check = check;
  }

  /** Whether the device is, or is about to be, set up by a version 2 script. Runs nothing. */
  async isUsed(): Promise<boolean> {
    if (this.#progress !== undefined) return isVersion2(this.#held.held());
    return (await this.#hotplug.record(this.#id))?.attached === true;
  }

  /** Which version a script follows; it is asked if need be. */
  async version(script: string, signal: AbortSignal): Promise<ScriptVersion> {
    const path = await this.#check(script);
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const version = await this.#v2.versions.find(path) ??
      await this.#exclusively(signal, async (session) => {
        const { record, target } = session;
        if (record?.stage === "prepared" && target.script === path) return 2;
        if (record !== null) await this.#discardOther(session);
        const params = await this.#nodes.read("params") ?? "";
        this.#note("asked");
        const answer = await session.probe({ script: path, params }) ? 2 : 1;
        await this.#v2.versions.learn(path, answer);
        return answer;
      });
    // Whether it was just asked, or an earlier attach tells.
    if (version === 1 && this.#progress === "asked") this.#note("no");
    if (version === 2 && this.#progress === undefined) this.#note("asked");
    this.#known.set(path, version);
    return version;
  }

  /** Prepares the device, unless it was prepared before. */
  async prepare(script: string, signal: AbortSignal): Promise<void> {
    await this.#exclusively(signal, (session) => this.#prepare(session, script));
  }

  /** `prepare`, unless it was prepared before; then `add`, and the nodes that the daemon owes. */
  async add(script: string, signal: AbortSignal): Promise<void> {
    await this.#exclusively(signal, async (session) => {
      await this.#prepare(session, script);
      await session.add(backendPath(this.#id));
      const { "physical-device": number, ...path } = await this.#result(session);
      // The kernel's backend reads it so. Other kinds' do without.
      if (this.#id.kind === "vbd" && !/^[0-9a-f]+:[0-9a-f]+$/i.test(number ?? "")) {
        throw new ScriptFailed(
          `${script} add: succeeded but physical-device is ${quote(number)}; ` +
            "expected MAJ:MIN in hexadecimal",
        );
      }
      await this.#nodes.write({ ...path, "hotplug-status": "connected" });
    });
  }

  /**
   * `remove` if it was added, then `unprepare` unless somebody else uses what is prepared. An
   * `unprepare` that fails is done all the same: so the convention has it.
   * @param copy nodes to run it on, since the directory is gone
   * @param reason what `hotplug-error` says already
   * @throws Error when `remove` fails, and has to be done again
   */
  async remove(
    script: string,
    signal: AbortSignal,
    copy: Readonly<Record<string, string>> | undefined,
    reason?: string,
  ): Promise<void> {
    await this.#exclusively(signal, async (session) => {
      await this.#restoreLost(session, script);
      const attached = session.record?.attached === true;
      if (attached) await this.#withBackend(copy, (path) => session.remove(path));
      if (attached) await this.#restoreParams(session.target.params);
      // Killed before that, an earlier one has left it to us.
      else if (this.#progress === "adding") await this.#restoreParams(this.#recordedTarget);
      await session.release().catch((error) => {
        signal.throwIfAborted();
        this.#log.warning((error as Error).message);
      });
    }, reason);
    if (this.#progress !== undefined) this.#note("done");
  }

  async #prepare(session: V2Session, script: string): Promise<void> {
    const path = await this.#check(script);
    const { record, target } = session;
    // What the backend says may be the script's own doing by now.
    const params = record?.attached ? target.params : await this.#nodes.read("params") ?? "";
    if (record !== null && record.stage === "prepared") {
      // Of an attach that nobody remembers.
      if (record.attached) await session.remove(backendPath(this.#id));
      if (target.script === path && target.params === params) {
        return this.#log.info(`was prepared before by ${path}`);
      }
      await this.#discardOther(session);
    }
    await session.prepare({ script: path, params }, false);
  }

  /** @throws Error when it is in use */
  async #discardOther(session: V2Session): Promise<void> {
    const { record, target } = session;
    if (record === null || record.stage === "probing") return;
    const what = `${target.script} for ${JSON.stringify(target.params.slice(0, 200))}`;
    if (record.local > 0) throw new Error(`it is attached locally, by ${what}`);
    this.#log.warning(`was prepared by ${what}, which is another one: undoing that`);
    await session.hold(false);
    await session.release();
  }

  /** What the script has left; the path is ours to complete. */
  async #result(session: V2Session): Promise<Record<string, string>> {
    const [number, path, device] = await Promise.all([
      this.#nodes.read("physical-device"),
      this.#nodes.read("physical-device-path"),
      session.device(),
    ]);
    return {
      ...(number ? { "physical-device": number } : {}),
      ...(!path && device ? { "physical-device-path": device } : {}),
    };
  }

  /** The store has lost what the journal knows of. */
  async #restoreLost(session: V2Session, script: string): Promise<void> {
    const progress = this.#progress;
    if (session.record !== null || progress === undefined) return;
    if (progress !== "preparing" && progress !== "adding") return;
    this.#log.warning("its hotplug directory is gone: undoing without what was in it");
    const record: V2Record = progress === "adding"
      ? { ...FRESH, stage: "prepared", attached: true }
      : { ...FRESH, stage: "preparing" };
    const path = await this.#check(script).catch(() => script);
    await session.restore({ script: path, params: this.#recordedTarget }, record);
  }

  /** Scripts put the device's path there; who is to follow needs the target. */
  async #restoreParams(params: string): Promise<void> {
    try {
      const now = await this.#nodes.read("params");
      if (now !== undefined && now !== params) await this.#nodes.write({ params });
    } catch (error) {
      this.#log.debug(`its params are not restored: ${(error as Error).message}`);
    }
  }

  async #withBackend(
    copy: Readonly<Record<string, string>> | undefined,
    work: (path: string) => Promise<void>,
  ): Promise<void> {
    if (copy === undefined) return await work(backendPath(this.#id));
    const relative = relativeBackendPath(this.#id).replace(/^backend/, COPY_BASE);
    const path = `${domainPath(this.#id.backendDomid)}/${relative}`;
    await withCopy(this.#parts.store, this.#id, copy, () => work(path));
  }

  async #exclusively<T>(
    signal: AbortSignal,
    work: (session: V2Session) => Promise<T>,
    reason?: string,
  ): Promise<T> {
    const parts = await v2Parts(
      this.#id,
      this.#parts,
      this.#v2,
      this.#hotplug,
      this.#log,
      this.#environment,
    );
    const known: V2Parts = {
      ...parts,
      knownError: () => reason,
      begin: (what) => this.#activity.begin(what),
      before: (action, target) => {
        if (action === "prepare") this.#note("preparing", target);
        if (action === "add") this.#note("adding", target);
      },
      forget: async () => {
        if (this.#progress !== undefined && this.#progress !== "asked") this.#note("done");
        await parts.forget();
      },
    };
    const locked = this.#activity.begin("its hotplug directory, which a command has locked");
    return await this.#v2.locks.run(
      this.#id,
      signal,
      async () => {
        locked();
        return await work(await V2Session.open(known, signal));
      },
    ).finally(locked);
  }

  get #progress(): V2Progress | undefined {
    return this.#held.held().version2?.progress;
  }

  get #recordedTarget(): string {
    return this.#held.held().version2?.target ?? "";
  }

  #note(progress: V2Progress, target?: V2Target): void {
    this.#held.hold({
      version2: { progress, target: target?.params ?? this.#recordedTarget },
    });
  }
}
