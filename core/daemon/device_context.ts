/** The device that a plugin is handed: its capabilities, cut to one backend directory. */
import { backendPath, type DeviceId } from "../device/id.ts";
import type { Log } from "../log/log.ts";
import type { Device, DeviceNodes, DeviceSystem, Undo } from "../../plugins/contract.ts";
import type { Clock, Files, Processes } from "../platform/types.ts";
import { absentOrHidden, type NodeAccess } from "../xenstore/access.ts";
import { ArgumentError } from "../xenstore/errors.ts";
import { isWithin, joinPath, pathFault } from "../xenstore/paths.ts";
import type { StoreClient } from "../xenstore/client.ts";
import type { Exclusive } from "./exclusive.ts";
import { visible } from "./observe.ts";
import { TOKEN_NODE } from "./token.ts";
import { HotplugScripts, type ScriptSettings } from "./hotplug_scripts.ts";

/** What devices are made from. */
export interface ContextParts {
  readonly store: StoreClient;
  readonly clock: Clock;
  readonly files: Files;
  readonly processes: Processes;
  readonly scripts: ScriptSettings;
  readonly exclusive: Exclusive;
}

/** Where a device's undo record is kept between calls. */
export interface UndoStore {
  get(): Undo;
  /** @throws Error when it cannot be written */
  add(more: Undo): void;
  heldElsewhere(name: string, value: string, by: "any" | "other guests"): boolean;
}

/** One call of a plugin. */
export interface Call {
  /** The mark that the directory has to bear to be this device's; null: any will do. */
  readonly token: string | null;
  /** Variables that all child processes get. */
  readonly environment: Readonly<Record<string, string>>;
  /** The device's nodes as they were when it was set up. */
  readonly copy: Readonly<Record<string, string>>;
}

/** Puts a device together for one call of a plugin. */
export function deviceContext(
  id: DeviceId,
  parts: ContextParts,
  log: Log,
  undo: UndoStore,
  call: Call,
): Device {
  const nodes = scopedNodes(parts.store, backendPath(id), call.token);
  const system = deviceSystem(parts, call.environment);
  return {
    id,
    nodes,
    scripts: new HotplugScripts(id, nodes, system, parts, log, call.environment),
    system,
    log: { info: (text) => log.info(text), warning: (text) => log.warning(text) },
    get undo() {
      return undo.get();
    },
    copy: call.copy,
    recordUndo: async (more) => undo.add(more),
    heldElsewhere: (name, value, by = "any") => undo.heldElsewhere(name, value, by),
  };
}

/** A view of one directory that names cannot lead out of. */
function scopedNodes(store: StoreClient, directory: string, token: string | null): DeviceNodes {
  const pathOf = (name: string): string => {
    const path = joinPath(directory, name);
    const fault = name === "" || name.startsWith("/") || name.startsWith("@")
      ? "it is not relative"
      : pathFault(path);
    if (fault !== null || !isWithin(path, directory)) {
      throw new ArgumentError(`invalid node name ${JSON.stringify(name)}: ${fault}`);
    }
    return path;
  };
  /** Whether the directory is there, and is the one that is meant. */
  const isOurs = async (access: NodeAccess): Promise<boolean> =>
    token === null
      ? await visible(access, directory)
      : await absentOrHidden(access.readText(`${directory}/${TOKEN_NODE}`)) === token;
  return {
    async read(name) {
      const path = pathOf(name);
      const [value, ours] = await Promise.all([
        absentOrHidden(store.readText(path)),
        isOurs(store),
      ]);
      return ours ? value : undefined;
    },
    async write(nodes) {
      const paths = Object.entries(nodes).map(([name, value]) => [pathOf(name), value] as const);
      await store.transaction(async (t) => {
        // A plain write would bring a deleted directory back.
        if (!await isOurs(t)) throw new Error("its backend directory was deleted");
        for (const [path, value] of paths) await t.write(path, value);
      });
    },
    async remove(name) {
      const path = pathOf(name);
      await store.transaction(async (t) => {
        if (await isOurs(t)) await absentOrHidden(t.remove(path));
      });
    },
  };
}

function deviceSystem(
  { files, processes, clock, exclusive }: ContextParts,
  environment: Readonly<Record<string, string>>,
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
      const lines: string[] = [];
      const child = await processes.start({
        argv,
        env: environment,
        output: (line) => {
          if (lines.length < 3) lines.push(line);
        },
      });
      const kill = () => child.signalGroup("SIGKILL");
      signal.addEventListener("abort", kill, { once: true });
      const { code, signal: ended } = await child.exited;
      signal.removeEventListener("abort", kill);
      if (code !== 0) {
        const how = code === null ? `was killed by ${ended}` : `exited with status ${code}`;
        throw new Error([`${argv.join(" ")} ${how}`, ...lines].join(": "));
      }
    },
    exclusively: (name, signal, work) => exclusive.run(name, signal, work),
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
