/** The device that a plugin is handed: its capabilities, cut to one backend directory. */
import { backendPath, type DeviceId } from "../device/id.ts";
import type { Log } from "../log/log.ts";
import type { Device, DeviceNodes, DeviceSystem, Undo } from "../../plugins/contract.ts";
import type { Clock, Files, Processes } from "../platform/types.ts";
import { absentOrHidden } from "../xenstore/access.ts";
import { ArgumentError } from "../xenstore/errors.ts";
import { isWithin, joinPath, pathFault } from "../xenstore/paths.ts";
import type { StoreClient } from "../xenstore/client.ts";
import { visible } from "./observe.ts";
import { HotplugScripts, type ScriptSettings } from "./hotplug_scripts.ts";

/** What devices are made from. */
export interface ContextParts {
  readonly store: StoreClient;
  readonly clock: Clock;
  readonly files: Files;
  readonly processes: Processes;
  readonly scripts: ScriptSettings;
}

/** Where a device's undo record is kept between calls. */
export interface UndoStore {
  get(): Undo;
  add(more: Undo): Promise<void>;
}

/** Puts a device together for one call of a plugin. */
export function deviceContext(
  id: DeviceId,
  parts: ContextParts,
  log: Log,
  undo: UndoStore,
): Device {
  const nodes = scopedNodes(parts.store, backendPath(id));
  const system = deviceSystem(parts);
  return {
    id,
    nodes,
    scripts: new HotplugScripts(id, nodes, system, parts, log),
    system,
    log: { info: (text) => log.info(text), warning: (text) => log.warning(text) },
    get undo() {
      return undo.get();
    },
    recordUndo: (more) => undo.add(more),
  };
}

/** A view of one directory that names cannot lead out of. */
function scopedNodes(store: StoreClient, directory: string): DeviceNodes {
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
  return {
    read: async (name) => await absentOrHidden(store.readText(pathOf(name))),
    async write(nodes) {
      await store.transaction(async (t) => {
        // A plain write would bring a deleted directory back.
        if (!await visible(t, directory)) throw new Error("its backend directory was deleted");
        for (const [name, value] of Object.entries(nodes)) await t.write(pathOf(name), value);
      });
    },
    async remove(name) {
      await absentOrHidden(store.remove(pathOf(name)));
    },
  };
}

function deviceSystem({ files, processes, clock }: ContextParts): DeviceSystem {
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
    realPath: (path) => optional(files.realPath(path)),
    async run(argv, signal) {
      const lines: string[] = [];
      const child = await processes.start({
        argv,
        env: {},
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
