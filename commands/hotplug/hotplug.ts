/**
 * `xdevd prepare`, `unprepare`, `local-attach`, `local-detach`: a version 2 block script by hand, or
 * by a toolstack that prepares a migration. Run in the driver domain, beside the daemon or without.
 */
import { ownDomid } from "../../core/daemon/daemon.ts";
import { HotplugDirectories } from "../../core/daemon/capabilities/hotplug_directory.ts";
import {
  type ScriptParts,
  v2Parts,
  type V2Settings,
} from "../../core/daemon/capabilities/script_parts.ts";
import { systemParts } from "../../machine/system_parts.ts";
import type { DeviceId } from "../../core/xen/device_id.ts";
import { deviceLabel } from "../../core/xen/device_label.ts";
import { checkScript } from "../../core/hotplug/path_rules.ts";
import { DEFAULT_SCRIPT_DIRECTORY } from "../../core/hotplug/defaults.ts";
import type { V2Action } from "../../core/hotplug/v2/convention.ts";
import { V2Session, type V2Target } from "../../core/hotplug/v2/session.ts";
import { DEFAULT_TIMES } from "../../core/xen/times.ts";
import { openLog } from "../../core/log/log.ts";
import type { LogLevel } from "../../core/log/levels.ts";
import { effectiveUid, onTermination, printTo } from "../../platform/self.ts";
import { storeEnvironment } from "../../core/xenstore/locate.ts";
import { type Connected, connectStore } from "../../machine/connect.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import { prepareRunDirectory } from "../devd/daemon_files.ts";
import { v2Settings } from "./settings.ts";
import { LAST_PATIENCE_MS } from "../device/session.ts";
import { logToStderr } from "../devd/log_output.ts";
import { readSettings } from "../plugin/set.ts";

export type HotplugVerb = "prepare" | "unprepare" | "local-attach" | "local-detach";

/** The command's options, as parsed. */
export interface HotplugOptions {
  /** Of the guest. */
  readonly domid: number;
  readonly devid: number;
  readonly target?: string;
  /** Name or path. */
  readonly script?: string;
  readonly store?: string;
  /** Directories; default: the usual one. */
  readonly scripts?: readonly string[];
  readonly scriptPath: string;
  readonly runDir: string;
  readonly config?: string;
  readonly logLevel: LogLevel;
  /** Limit of each action that the command is for, in seconds. */
  readonly timeout?: number;
}

/** Runs a command; resolves with the exit status. @throws CodedError with one line for people */
export async function hotplug(verb: HotplugVerb, options: HotplugOptions): Promise<number> {
  logToStderr(options.logLevel);
  const connected = await connectStore(options.store);
  const abort = new AbortController();
  const ignoreSignals = onTermination((signal) => {
    abort.abort(new Error(signal));
    connected.store.limitPatience(LAST_PATIENCE_MS);
  });
  try {
    const command = await Command.of(verb, connected, options);
    await command.run(verb, abort.signal);
    return ExitCode.Success;
  } finally {
    ignoreSignals();
    connected.store.close();
  }
}

/** Actions that `--timeout` is about. */
const LIMITED: Readonly<Record<HotplugVerb, readonly V2Action[]>> = {
  "prepare": ["prepare"],
  "unprepare": ["unprepare"],
  "local-attach": ["prepare", "localattach"],
  "local-detach": ["localdetach", "unprepare"],
};

class Command {
  readonly #options: HotplugOptions;
  readonly #id: DeviceId;
  readonly #parts: ScriptParts;
  readonly #v2: V2Settings;
  readonly #directories: HotplugDirectories;

  private constructor(
    options: HotplugOptions,
    id: DeviceId,
    parts: ScriptParts,
    v2: V2Settings,
    directories: HotplugDirectories,
  ) {
    this.#options = options;
    this.#id = id;
    this.#parts = parts;
    this.#v2 = v2;
    this.#directories = directories;
  }

  static async of(
    verb: HotplugVerb,
    { store, location }: Connected,
    options: HotplugOptions,
  ): Promise<Command> {
    const { scripts } = await readSettings(options);
    const domid = await ownDomid(store);
    const { timeout, runDir, scripts: directories = [DEFAULT_SCRIPT_DIRECTORY] } = options;
    const times = DEFAULT_TIMES;
    const system = systemParts(store);
    const parts: ScriptParts = {
      ...system,
      scripts: {
        policy: { directories, trustedUids: [0, effectiveUid()] },
        limits: { timeoutMs: times.hotplug, killGraceMs: times.killGrace },
        path: options.scriptPath,
        environment: storeEnvironment(location),
      },
    };
    await prepareRunDirectory(runDir);
    const usual = v2Settings({ times, scripts, runDir, domid });
    // What undoes an action that took too long must not be cut short as well.
    const limited = timeout === undefined
      ? []
      : LIMITED[verb].map((action) => [action, timeout * 1000]);
    const v2 = { ...usual, limits: { ...usual.limits, ...Object.fromEntries(limited) } };
    const id = {
      backendDomid: domid,
      kind: "vbd",
      frontendDomid: options.domid,
      devid: options.devid,
    };
    return new Command(options, id, parts, v2, system.hotplug);
  }

  /** @throws Error with one line, when what was begun is undone */
  async run(verb: HotplugVerb, signal: AbortSignal): Promise<void> {
    try {
      await this.#exclusively(signal, async (session) => {
        if (verb === "prepare") await this.#prepare(session, signal);
        else if (verb === "unprepare") await this.#unprepare(session);
        else if (verb === "local-attach") await this.#localAttach(session, signal);
        else await this.#localDetach(session);
      });
    } catch (error) {
      // Opening a session undoes what is half done. Not by a signal that has fired.
      const { signal: patient } = new AbortController();
      await this.#exclusively(patient, (session) => session.release()).catch((second) =>
        openLog(this.#name).warning((second as Error).message)
      );
      throw error;
    }
  }

  async #exclusively(
    signal: AbortSignal,
    work: (session: V2Session) => Promise<void>,
  ): Promise<void> {
    const log = openLog(this.#name);
    const parts = await v2Parts(this.#id, this.#parts, this.#v2, this.#directories, log, {});
    await this.#v2.locks.run(
      this.#id,
      signal,
      async () => await work(await V2Session.open(parts, signal)),
    );
  }

  async #prepare(session: V2Session, signal: AbortSignal): Promise<void> {
    if (session.record?.stage === "prepared") {
      await this.#checkSame(session.target);
      return await session.hold(true);
    }
    await this.#prepareAnew(session, true, signal);
  }

  async #unprepare(session: V2Session): Promise<void> {
    const { record } = session;
    if (record?.stage !== "prepared") return this.#note("is not prepared");
    if (record.attached) {
      throw new CodedError("device-in-use", `${this.#name} is attached: detach it first`);
    }
    if (record.local > 0) {
      throw new CodedError(
        "device-in-use",
        `${this.#name} is attached locally: local-detach it first`,
      );
    }
    await session.unprepare();
  }

  async #localAttach(session: V2Session, signal: AbortSignal): Promise<void> {
    if (session.record?.stage === "prepared") await this.#checkSame(session.target);
    else await this.#prepareAnew(session, false, signal);
    printTo(1, `${await session.localAttach()}\n`);
  }

  async #localDetach(session: V2Session): Promise<void> {
    const { record } = session;
    if (record === null || record.local === 0) return this.#note("is not attached locally");
    await session.localDetach();
    await session.release();
  }

  async #prepareAnew(session: V2Session, held: boolean, signal: AbortSignal): Promise<void> {
    const target = await this.#targetFor(session);
    const isV2 = await this.#v2.versions.find(target.script) ??
      (await session.probe(target) ? 2 : 1);
    signal.throwIfAborted();
    if (isV2 !== 2) {
      throw new CodedError(
        "failed",
        `script ${target.script} is of version 1, which cannot be prepared (if it is not, the ` +
          `configuration can say so: [scripts."${target.script}"] version = 2)`,
      );
    }
    await session.prepare(target, held);
  }

  /** What was asked for, or what somebody has written into the hotplug directory. */
  async #targetFor({ target }: V2Session): Promise<V2Target> {
    const { script = target.script, target: params = target.params } = this.#options;
    if (script === "") {
      throw new CodedError(
        "usage",
        `${this.#name} is not prepared: --script NAME and a target are needed`,
      );
    }
    return { script: await this.#check(script), params };
  }

  /** @throws CodedError when something else was prepared than is asked for */
  async #checkSame({ script, params }: V2Target): Promise<void> {
    const wanted = this.#options.script;
    if (wanted !== undefined && await this.#check(wanted) !== script) {
      throw new CodedError("failed", `${this.#name} is prepared by another script: ${script}`);
    }
    const { target = params } = this.#options;
    if (target !== params) {
      throw new CodedError(
        "failed",
        `${this.#name} is prepared for another target: ${JSON.stringify(params)}`,
      );
    }
  }

  #check(script: string): Promise<string> {
    return checkScript(this.#parts.files, script, this.#parts.scripts.policy);
  }

  #note(text: string): void {
    openLog(this.#name).warning(text);
  }

  get #name(): string {
    return deviceLabel(this.#id);
  }
}
