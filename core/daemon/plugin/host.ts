/** What carries a plugin. */
import type {
  BackendPlugin,
  PluginManifest,
  PluginOperations,
  Setting,
} from "../../../contract/v1/plugin.ts";
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
