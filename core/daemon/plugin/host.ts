/** What carries a plugin. */
import type {
  BackendPlugin,
  PluginManifest,
  PluginOperations,
  Setting,
} from "../../../contract/v1/plugin.ts";
import type { ServerOpener } from "../../../contract/v2/server.ts";
import { checkContract } from "./manifest.ts";

/** A plugin, loaded or not. */
export interface PluginHost {
  readonly manifest: PluginManifest;
  /** Its file; `built-in` for one that is compiled in. */
  readonly origin: string;
  /** The administrator's settings of it. Each call is given those of its time. */
  settings: Readonly<Record<string, Setting>>;
  /**
   * Loads it, unless it is loaded.
   * @throws Error that says in one line why it cannot be loaded; the next call tries again
   */
  operations(): Promise<PluginOperations>;
  /** Makes sure that it works: loads it, and starts what carries it. @throws Error likewise */
  probe(): Promise<void>;
  /** Ends what carries it, if that is something by itself. */
  close(): Promise<void>;
}

/** A plugin that is compiled in: its manifest, and how to get at its code. */
export interface BuiltIn {
  readonly manifest: PluginManifest;
  load(): Promise<BackendPlugin>;
  /** Of one with a server: how to get at that, which runs in a process of its own. */
  openServer?(): Promise<ServerOpener>;
}

/** @throws ManifestError when it was written for another contract */
export function builtInHost(
  { manifest, load }: BuiltIn,
  settings: PluginHost["settings"] = {},
): PluginHost {
  checkContract(manifest.api);
  let loaded: Promise<PluginOperations> | null = null;
  return {
    manifest,
    origin: "built-in",
    settings,
    operations: () => loaded ??= load(),
    probe: async () => void await (loaded ??= load()),
    close: async () => {},
  };
}

/** A plugin that is at hand already. */
export function readyHost(plugin: BackendPlugin): PluginHost {
  return builtInHost({ manifest: plugin, load: async () => plugin });
}

/** Finds the plugin of a kind. */
export class PluginRegistry {
  readonly #byKind: ReadonlyMap<string, PluginHost>;

  constructor(byKind: ReadonlyMap<string, PluginHost>) {
    this.#byKind = byKind;
  }

  /** Plugins for all the kinds they can serve. @throws Error when two claim one kind */
  static of(...hosts: PluginHost[]): PluginRegistry {
    const byKind = new Map<string, PluginHost>();
    for (const host of hosts) {
      for (const kind of host.manifest.kinds) {
        const other = byKind.get(kind);
        if (other !== undefined) {
          throw new Error(
            `plugins ${other.manifest.name} and ${host.manifest.name} both serve kind ${kind}`,
          );
        }
        byKind.set(kind, host);
      }
    }
    return new PluginRegistry(byKind);
  }

  /** Kinds that can be served. */
  get kinds(): string[] {
    return [...this.#byKind.keys()];
  }

  /** The plugin of a kind, or undefined. */
  find(kind: string): PluginHost | undefined {
    return this.#byKind.get(kind);
  }

  /** Ends what carries the plugins. */
  async close(): Promise<void> {
    await Promise.all([...new Set(this.#byKind.values())].map((host) => host.close()));
  }
}
