/** The device that a plugin is handed: its capabilities, cut to one backend directory. */
import { backendPath, type DeviceId, frontendPath } from "../../xen/device_id.ts";
import { parseState } from "../../xen/states.ts";
import type { Log } from "../../log/log.ts";
import type {
  Device,
  DeviceChildren,
  DeviceDirectories,
  DeviceSystem,
  Holder,
  Undo,
} from "../../../contract/v1/plugin.ts";
import type { HelperLog } from "../../hotplug/helper_log.ts";
import { deviceConfig } from "../plugin/device_config.ts";
import type { Clock, Files, Processes } from "../../../platform/types.ts";
import { absentOrHidden } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import type { Activity } from "../activity.ts";
import type { Held } from "../journal/held.ts";
import type { AddReads } from "../device/prefetch.ts";
import { copyOf } from "../device/node_backup.ts";
import type { Exclusive } from "./exclusive.ts";
import type { HotplugDirectories } from "./hotplug_directory.ts";
import { HotplugScripts } from "./scripts.ts";
import type { ScriptSettings } from "./script_parts.ts";
import { readAttachId } from "../device/attach_id.ts";
import { backendNodes, ownNodes } from "./plugin_nodes.ts";
import { visible } from "../device/observe.ts";

/** What devices are made from. */
export interface ContextParts {
  readonly store: StoreClient;
  readonly clock: Clock;
  readonly files: Files;
  /** The same for scripts, which lie near. */
  readonly scriptFiles?: Files;
  readonly processes: Processes;
  readonly helperLog?: HelperLog;
  readonly scripts: ScriptSettings;
  readonly exclusive: Exclusive;
  readonly hotplug: HotplugDirectories;
  readonly blocks: DeviceSystem["blocks"];
  readonly links: DeviceSystem["links"];
}

/** Where a device's undo record is kept between calls. */
export interface UndoStore {
  get(): Undo;
  /** @throws Error when it cannot be written */
  add(more: Undo): void;
  /** What the daemon holds for the device. */
  held(): Held;
  /** Adds to that. @throws Error when it cannot be written */
  hold(more: Partial<Held>): void;
  heldElsewhere(name: string, value: string, by: "any" | "other guests"): boolean;
  holders(name: string, value: string, by: "any" | "other guests"): readonly Holder[];
  heldValues(name: string): readonly Undo[string][];
}

/** How many lines of a program that fails are told. */
const LINES_MAX = 3;

/** How much of a program's output is kept, in characters. */
const OUTPUT_MAX = 64 * 1024;

/** One call of a plugin. */
export interface Call {
  /** The attach id that the directory must have to be this device's; null: any will do. */
  readonly attachId: string | null;
  readonly activity: Activity;
  /** Variables that all child processes get. */
  readonly environment: Readonly<Record<string, string>>;
  /** Of an add: what it reads first. */
  readonly first?: AddReads;
  /** The device's nodes as they were when it was set up. */
  readonly copy: Readonly<Record<string, string>>;
  readonly children: DeviceChildren;
  readonly deviceModel: Device["deviceModel"];
  readonly directories: DeviceDirectories;
  timeLeft(): number;
  /** Kind of the frontend's directory. */
  readonly frontendKind: string;
  readonly settings: Device["settings"];
}

/** Puts a device together for one call of a plugin. */
export function deviceContext(
  id: DeviceId,
  parts: ContextParts,
  log: Log,
  undo: UndoStore,
  call: Call,
): Device {
  const { store } = parts;
  const directory = backendPath(id);
  const frontend = frontendPath(id, call.frontendKind);
  const nodes = backendNodes(store, directory, call.attachId, call.first);
  const system = deviceSystem(parts, call.environment, call.activity);
  return {
    id,
    nodes,
    hotplug: ownNodes(store, () => parts.hotplug.of(id), () => {
      if (!undo.held().hotplugDirectory) undo.hold({ hotplugDirectory: true });
    }),
    async config() {
      const present = call.attachId === null
        ? await visible(store, directory)
        : await readAttachId(store, id) === call.attachId;
      return deviceConfig(present ? await copyOf(store, directory) : call.copy);
    },
    frontend: {
      state: async () => parseState(await store.readVisible(`${frontend}/state`) ?? ""),
      writeMtu: (bytes) => writeMtu(store, id.backendDomid, frontend, bytes),
    },
    settings: call.settings,
    scripts: new HotplugScripts(
      id,
      nodes,
      system,
      parts,
      log,
      undo,
      call.environment,
      call.activity,
    ),
    system,
    children: call.children,
    deviceModel: call.deviceModel,
    directories: call.directories,
    timeLeft: call.timeLeft,
    log: { info: (text) => log.info(text), warning: (text) => log.warning(text) },
    get undo() {
      return undo.get();
    },
    copy: call.copy,
    recordUndo: async (more) => undo.add(more),
    heldElsewhere: (name, value, by = "any") => undo.heldElsewhere(name, value, by),
    holders: (name, value, by = "any") => undo.holders(name, value, by),
    sameMachine: (frontendDomid) => areSameMachine(store, id.frontendDomid, frontendDomid),
    heldValues: (name) => undo.heldValues(name),
  };
}

/** What node `vm` of a domain says (libxl_create.c, `libxl__domain_make`); dom0's is all zeros. */
const MACHINE = /^\/vm\/(?!0{8}-0{4}-0{4}-0{4}-0{12}$)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

async function areSameMachine(store: StoreClient, one: number, other: number): Promise<boolean> {
  if (one === other) return true;
  if (!Number.isSafeInteger(other) || other < 0) return false;
  // Hidden, or not there: then nobody can know.
  const [first, second] = await Promise.all(
    [one, other].map((domid) => store.readVisible(`/local/domain/${domid}/vm`)),
  );
  return first !== undefined && first === second && MACHINE.test(first);
}

/** Range of an MTU, in bytes: ETH_MIN_MTU and ETH_MAX_MTU of linux/if_ether.h. */
const [MTU_MIN, MTU_MAX] = [68, 65_535];

async function writeMtu(
  store: StoreClient,
  domid: number,
  frontend: string,
  bytes: number,
): Promise<void> {
  if (!Number.isInteger(bytes) || bytes < MTU_MIN || bytes > MTU_MAX) {
    throw new RangeError(`mtu ${bytes}; expected ${MTU_MIN} to ${MTU_MAX} bytes`);
  }
  const node = `${frontend}/mtu`;
  const check = (value: Uint8Array | undefined) => {
    if (value === undefined) throw new Error("the frontend has no node mtu");
  };
  if (domid !== 0) {
    // A driver domain may write this node, and make none: a frontend that was deleted stays so.
    check(await absentOrHidden(store.read(node)));
    return await store.write(node, String(bytes));
  }
  await store.transaction(async (t) => {
    // A plain write of domain 0 would bring a deleted frontend back.
    const present = absentOrHidden(t.read(node));
    const written = t.write(node, String(bytes));
    written.catch(() => {});
    check(await present);
    await written;
  });
}

function deviceSystem(
  { files, processes, clock, exclusive, blocks, links }: ContextParts,
  environment: Readonly<Record<string, string>>,
  activity: Activity,
): DeviceSystem {
  const optional = async <T>(value: Promise<T>): Promise<T | undefined> => {
    try {
      return await value;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      throw error;
    }
  };
  return {
    exists: async (path) => await optional(files.stat(path)) !== undefined,
    readText: async (path) => (await optional(files.readText(path)))?.trimEnd(),
    async identityOf(path) {
      const status = await optional(files.stat(path));
      if (status === undefined) return undefined;
      const { kind, dev, ino, rdev } = status;
      return kind === "block" || kind === "character" ? `${kind} ${rdev}` : `${dev}:${ino}`;
    },
    list: async (path) => await optional(files.list(path)) ?? [],
    realPath: (path) => optional(files.realPath(path)),
    async run(argv, signal) {
      signal.throwIfAborted();
      const lines: string[] = [];
      const printed: string[] = [];
      let length = 0;
      const child = await processes.start({
        argv,
        env: environment,
        apart: true,
        output: (line, stream) => {
          // The first ones tell what it was about, the last one how it ended.
          if (lines.length === LINES_MAX) lines.pop();
          lines.push(line);
          if (stream === "stdout" && (length += line.length + 1) <= OUTPUT_MAX) printed.push(line);
        },
      });
      let stopped = false;
      const kill = () => {
        stopped = true;
        child.signalGroup("SIGKILL");
      };
      signal.addEventListener("abort", kill, { once: true });
      const { code, signal: ended } = await child.exited;
      signal.removeEventListener("abort", kill);
      if (stopped && code === null) {
        const why = signal.reason instanceof Error ? signal.reason.message : String(signal.reason);
        throw new Error(`${argv.join(" ")} was stopped: ${why}`, { cause: signal.reason });
      }
      if (code !== 0) {
        const how = code === null ? `was killed by ${ended}` : `exited with status ${code}`;
        throw new Error([`${argv.join(" ")} ${how}`, ...lines].join(": "));
      }
      return printed.join("\n");
    },
    blocks,
    links,
    async exclusively(name, signal, work) {
      const begun = activity.begin(`its turn: another device is busy with the same, ${name}`);
      const run = () => {
        begun();
        return work();
      };
      return await exclusive.run(name, signal, run).finally(begun);
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const onAbort = () => {
          cancel();
          reject(signal.reason);
        };
        const cancel = clock.after(ms, () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        });
        signal.addEventListener("abort", onAbort, { once: true });
      }),
  };
}
