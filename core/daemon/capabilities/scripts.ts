/** Runs a device's hotplug script: checks it, asks the store what it needs, runs it. */
import { own } from "../../../contract/v1/own.ts";
import {
  GATEWAY_DEVICE_RULE,
  INTERFACE_NAME_RULE,
  isGatewayDevice,
  isInterfaceName,
} from "../../../contract/v1/interface_name.ts";
import type { DeviceId } from "../../xen/device_id.ts";
import { checkScript } from "../../hotplug/path_rules.ts";
import { NotStarted, runWithLastWords } from "../../hotplug/run_script.ts";
import {
  BACKEND_BASE,
  blockPasses,
  networkPasses,
  type ScriptAction,
  type ScriptFamily,
  type ScriptPass,
  tapName,
} from "../../hotplug/v1/convention.ts";
import type { Log } from "../../log/log.ts";
import type { DeviceNodes, DeviceScripts, DeviceSystem } from "../../../contract/v1/plugin.ts";
import type { Activity } from "../activity.ts";
import { COPY_BASE, copyOf, withCopy } from "../device/node_backup.ts";
import type { HotplugDirectories } from "./hotplug_directory.ts";
import type { ScriptParts } from "./script_parts.ts";
import { type HeldStore, HotplugV2 } from "./scripts_v2.ts";
import { quote } from "../device/observer.ts";
import { OPERATION_VARIABLE } from "../device/orphans.ts";

/** The scripts of one device. */
export class HotplugScripts implements DeviceScripts {
  readonly #id: DeviceId;
  readonly #nodes: DeviceNodes;
  readonly #system: DeviceSystem;
  readonly #parts: ScriptParts;
  readonly #log: Log;
  readonly #held: HeldStore;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #activity: Activity;
  readonly #v2: HotplugV2 | null;
  /**
   * What a script that was found safe is run as. It stays safe for as long as this object lives,
   * which is one call of a plugin: only those who are trusted could have changed it.
   */
  readonly #programs = new Map<string, string>();
  /** {@link NETWORK_NODES} of the device, once they were found right. */
  #network: readonly (string | undefined)[] | null = null;

  /** @param environment more variables for the scripts */
  constructor(
    id: DeviceId,
    nodes: DeviceNodes,
    system: DeviceSystem,
    parts: ScriptParts & { readonly hotplug: HotplugDirectories },
    log: Log,
    held: HeldStore,
    environment: Readonly<Record<string, string>>,
    activity: Activity,
  ) {
    const { v2 } = parts.scripts;
    this.#v2 = v2 === undefined ? null : new HotplugV2(
      id,
      nodes,
      parts,
      v2,
      held,
      log,
      environment,
      activity,
      (script) => this.#programOf(script),
    );
    this.#id = id;
    this.#nodes = nodes;
    this.#system = system;
    this.#parts = parts;
    this.#log = log;
    this.#held = held;
    this.#environment = environment;
    this.#activity = activity;
  }

  async check(family: ScriptFamily, script: string): Promise<void> {
    await this.#programOf(script);
    if (family === "block") return;
    await this.#networkPasses(script, "add");
  }

  /** @throws ScriptRefused */
  async #programOf(script: string): Promise<string> {
    const known = this.#programs.get(script);
    if (known !== undefined) return known;
    const { files, scripts } = this.#parts;
    const program = await checkScript(files, script, scripts.policy);
    this.#programs.set(script, program);
    return program;
  }

  async version(script: string, signal: AbortSignal): Promise<1 | 2> {
    return await this.#v2?.version(script, signal) ?? 1;
  }

  async usesVersion2(): Promise<boolean> {
    return await this.#v2?.isUsed() ?? false;
  }

  async prepare(script: string, signal: AbortSignal): Promise<void> {
    if (await this.version(script, signal) === 2) await this.#v2?.prepare(script, signal);
  }

  async run(
    family: ScriptFamily,
    script: string,
    action: ScriptAction,
    signal: AbortSignal,
    nodes?: Readonly<Record<string, string>>,
  ): Promise<void> {
    const v2 = family === "block" ? this.#v2 : null;
    if (v2 !== null && action === "add" && await v2.version(script, signal) === 2) {
      return await v2.add(script, signal);
    }
    if (v2 !== null && action === "remove" && await v2.isUsed()) {
      return await this.#keepingReason((reason) => v2.remove(script, signal, nodes, reason));
    }
    if (action === "remove" && this.#held.held().script === "none") {
      return this.#log.info(`${script} was not run for it: nothing to undo`);
    }
    if (nodes === undefined) {
      if (action === "add") return await this.#run(family, script, action, signal);
      return await this.#keepingReason((reason) =>
        this.#run(family, script, action, signal, undefined, reason)
      );
    }
    await withCopy(
      this.#parts.store,
      this.#id,
      nodes,
      (directory) => this.#run(family, script, action, signal, nodes, undefined, directory),
    );
  }

  async addOnCopy(
    family: ScriptFamily,
    script: string,
    nodes: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>>> {
    const { store } = this.#parts;
    return await withCopy(store, this.#id, nodes, async (directory) => {
      await this.#run(family, script, "add", signal, nodes, undefined, directory);
      return changesOf(nodes, await copyOf(store, directory));
    });
  }

  /**
   * Why an add failed is worth more than why undoing it did, and a refusal is to be told from an
   * error: the script may overwrite both.
   * @param work gets the reason that is there already
   */
  async #keepingReason(work: (reason: string | undefined) => Promise<void>): Promise<void> {
    const read = () =>
      Promise.all(["hotplug-error", "hotplug-status"].map((name) => this.#nodes.read(name)));
    const [reason, status] = await read();
    try {
      await work(reason);
    } finally {
      const [nowReason, nowStatus] = reason ? await read() : [];
      // Emptied, or removed, is as the script would have it.
      const kept = {
        ...(reason && nowReason !== undefined && nowReason !== reason
          ? { "hotplug-error": reason }
          : {}),
        ...(status && nowStatus && nowStatus !== status ? { "hotplug-status": status } : {}),
      };
      if (Object.keys(kept).length > 0) await this.#nodes.write(kept).catch(() => {});
    }
  }

  /**
   * @param reason what `hotplug-error` says already
   * @param directory where the copy is, if it runs on one
   */
  async #run(
    family: ScriptFamily,
    script: string,
    action: ScriptAction,
    signal: AbortSignal,
    nodes?: Readonly<Record<string, string>>,
    reason?: string,
    directory?: string,
  ): Promise<void> {
    const { scripts, store, orphans } = this.#parts;
    const operation = this.#environment[OPERATION_VARIABLE];
    const program = await this.#programOf(script);
    const passes = family === "block"
      ? blockPasses(this.#id, script, action, baseOf(nodes))
      : await this.#networkPasses(script, action, nodes);
    for (const [index, pass] of passes.entries()) {
      if (action === "add" && index === 0) this.#held.hold({ script: "begun" });
      this.#log.debug(`runs ${program} ${pass.args.join(" ")}`);
      const run = {
        argv: [program, ...pass.args] as const,
        env: { PATH: scripts.path, ...scripts.environment, ...this.#environment, ...pass.env },
        limits: scripts.limits,
        signal,
        output: (line: string) => this.#log.info(`${program}: ${line}`),
        ...(operation === undefined ? {} : { endMarked: () => orphans.end(operation, "SIGTERM") }),
      };
      const ended = this.#activity.begin(`script ${run.argv.join(" ")}`);
      try {
        await runWithLastWords(this.#parts, run, this.#log, async () => {
          const words = directory === undefined
            ? await this.#nodes.read("hotplug-error")
            : await store.readVisible(`${directory}/hotplug-error`);
          return words === reason ? undefined : words;
        });
      } catch (error) {
        const isNothing = error instanceof NotStarted && action === "add" && index === 0;
        if (isNothing) this.#held.hold({ script: "none" });
        throw error;
      } finally {
        ended();
      }
    }
  }

  /** @param copy what to go by in place of the device's nodes */
  async #networkPasses(
    script: string,
    action: ScriptAction,
    copy?: Readonly<Record<string, string>>,
  ): Promise<ScriptPass[]> {
    const values = this.#network ?? await Promise.all(
      NETWORK_NODES.map((name) => copy === undefined ? this.#nodes.read(name) : own(copy, name)),
    );
    const [type, gatewayDevice] = checkNetwork(values, action);
    if (copy === undefined) this.#network = values;
    return networkPasses(this.#id, script, action, {
      type,
      gatewayDevice,
      tapExists: type === "vif_ioemu" &&
        await this.#system.exists(`/sys/class/net/${tapName(this.#id)}`),
    }, baseOf(copy));
  }
}

/** What is new or another one in a copy. */
function changesOf(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(after).filter(([name, value]) => own(before, name) !== value),
  );
}

/** Where the script finds the nodes: those of the device, or a copy of them. */
function baseOf(copy: Readonly<Record<string, string>> | undefined): string {
  return copy === undefined ? BACKEND_BASE : COPY_BASE;
}

/** What network scripts make arguments of programs (`ip`, `iptables`) of. */
const NETWORK_NODES = ["type", "gatewaydev", "vifname", "bridge"] as const;

/**
 * What a network script is told of its nodes. What it would make arguments of is checked before it adds;
 * what is to be undone is undone in any case.
 * @throws Error
 */
function checkNetwork(
  [type, gateway = "", vifname = "", bridge = ""]: readonly (string | undefined)[],
  action: ScriptAction,
): [type: "vif" | "vif_ioemu", gateway: string] {
  const refuse = (name: string, value: string | undefined, expected: string): never => {
    throw new Error(`node ${name} is ${quote(value)}; expected ${expected}`);
  };
  if (type !== "vif" && type !== "vif_ioemu") return refuse("type", type, "vif or vif_ioemu");
  if (gateway !== "" && !isGatewayDevice(gateway)) {
    refuse("gatewaydev", gateway, `an interface name, ${GATEWAY_DEVICE_RULE}`);
  }
  if (action === "remove") return [type, gateway];
  if (vifname !== "" && !isInterfaceName(vifname)) {
    refuse("vifname", vifname, `an interface name, ${INTERFACE_NAME_RULE}`);
  }
  // Open vSwitch's has VLANs behind it.
  if (/[\s\p{Cc}]|^[-!@]|\+$/u.test(bridge)) {
    refuse("bridge", bridge, "a bridge, not beginning with -, ! or @, not ending with +");
  }
  return [type, gateway];
}
