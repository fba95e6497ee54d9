/** From the command line and the configuration file to the plugins that are used. */
import { isThere } from "../../core/is_there.ts";
import { makeControlGroup } from "../../platform/linux/control_group.ts";
import { sha256OfFile } from "../../platform/checksum.ts";
import { type Modules, provideModule, systemModules } from "../../platform/modules.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { systemProcessTable } from "../../platform/linux/process_table.ts";
import { effectiveUid } from "../../platform/self.ts";
import { systemPipedChildren } from "../../platform/io/child.ts";
import * as contract from "../../contract/v2/plugin.ts";
import { type FoundPlugin, pluginAt, pluginsIn, type Rejected } from "../../plugins/discover.ts";
import {
  type BuiltIn,
  builtInHost,
  type PluginHost,
  PluginRegistry,
} from "../../core/daemon/plugin/host.ts";
import { loadPlugin, moduleHost, type ModuleHostParts } from "../../plugins/host/module_host.ts";
import { ProcessHost } from "../../plugins/host/process_host.ts";
import { type Candidate, type Selection, selectPlugins, settingsOf } from "../../plugins/select.ts";
import { DEFAULT_CONFIG } from "../../plugins/places.ts";
import { firstLine, NO_SETTINGS, parseSettings, type Settings } from "../../plugins/settings.ts";
import { checkPluginFile, type TrustParts } from "../../plugins/trust.ts";
import { PLUGIN_DIRECTORIES } from "../../plugins/places.ts";
import { VERSION } from "../../core/version.ts";
import { CodedError } from "../../core/messages/error.ts";

/** Options of the command line that choose plugins. */
export interface PluginOptions {
  /** Directories that were named; undefined: the usual ones. */
  readonly plugins?: readonly string[];
  /** Files that were named. */
  readonly plugin?: readonly string[];
  /** By kind: a plugin's name or path. */
  readonly kind?: Readonly<Record<string, string>>;
  /** Configuration file that was named. */
  readonly config?: string;
}

/** A plugin that can be used; `builtIn` is there for one that is compiled in. */
export type Available = (FoundPlugin | Candidate) & {
  readonly builtIn?: BuiltIn;
  /** The administrator's settings of it. */
  readonly settings?: PluginHost["settings"];
};

export interface PluginSet {
  readonly available: readonly Available[];
  readonly rejected: readonly Rejected[];
  readonly selection: Selection<Available>;
  readonly settings: Settings;
}

/** What was chosen of it, and the configuration. */
export type Chosen = Pick<PluginSet, "selection" | "settings">;

/** What plugins are run with. */
export interface HostSettings {
  /** Tells this daemon's plugins from another's. */
  readonly owner: string;
  /** The PATH that they get. */
  readonly path: string;
  /** How long they have to end a call that they are told to end, in ms. */
  readonly answerMs: number;
  /** In place of the name of a program's control group. */
  readonly group?: string;
  /** Which errors of modules tell where they come from; `mistakes` by default. */
  readonly places?: "mistakes" | "all";
}

/** What files are judged by: they belong to root, or to whom this program runs as. */
export function trustParts(): ModuleHostParts {
  return {
    files: systemFiles,
    trustedUids: [0, effectiveUid()],
    sha256Of: sha256OfFile,
    modules: systemModules,
  };
}

/**
 * Finds the plugins; runs none.
 * @param trust what files are judged by, and which files: by default this machine's
 * @throws CodedError when something that was named cannot be used
 */
export async function gatherPlugins(
  options: PluginOptions,
  builtIns: readonly BuiltIn[],
  trust: TrustParts = trustParts(),
): Promise<PluginSet> {
  const settings = await readSettings(options, trust);
  const available: Available[] = builtIns.map((builtIn) => ({
    manifest: builtIn.manifest,
    origin: "built-in",
    builtIn,
  }));
  const rejected: Rejected[] = [];
  for (const directory of options.plugins ?? PLUGIN_DIRECTORIES) {
    try {
      const { found, rejected: others } = await pluginsIn(directory, settings, trust);
      available.push(...found);
      rejected.push(...others);
    } catch (error) {
      if (options.plugins === undefined && (error as { code?: string }).code === "ENOENT") continue;
      throw new CodedError("failed", `plugin directory ${directory}: ${(error as Error).message}`);
    }
  }
  for (const file of options.plugin ?? []) {
    const found = available.findIndex(({ origin }) => origin === file);
    if (found >= 0) {
      available[found] = { ...available[found]!, named: true };
      continue;
    }
    try {
      available.push({ ...await pluginAt(file, settings, trust), named: true });
    } catch (error) {
      throw new CodedError("plugin-refused", (error as Error).message);
    }
  }
  const told = available.map((plugin) => ({ ...plugin, settings: ownSettings(plugin, settings) }));
  return { available: told, rejected, settings, selection: selectPlugins(told, settings) };
}

/**
 * The plugins that the daemon uses.
 * @throws CodedError when it is not clear which, or what was named cannot be used
 */
export async function choosePlugins(
  options: PluginOptions,
  builtIns: readonly BuiltIn[],
  report: (line: string) => void,
): Promise<Chosen> {
  const { rejected, selection, settings } = await gatherPlugins(options, builtIns);
  for (const { reason } of rejected) report(reason);
  if (selection.conflicts.length > 0) {
    throw new CodedError("plugin-conflict", selection.conflicts.join("; "));
  }
  return { selection, settings };
}

/** What carries them; nothing is loaded yet. */
export function makeRegistry(
  selection: Selection<Available>,
  host: HostSettings,
): PluginRegistry {
  const hosts = new Map<Available, PluginHost>();
  const byKind = new Map<string, PluginHost>();
  for (const [kind, plugin] of selection.byKind) {
    const made = hosts.get(plugin) ?? makeHost(plugin, host);
    hosts.set(plugin, made);
    byKind.set(kind, made);
  }
  return new PluginRegistry(byKind);
}

/**
 * What carries a plugin.
 * @throws ManifestError when it was written for another contract
 */
export function makeHost(
  plugin: Available,
  settings: HostSettings,
  modules: Modules = systemModules,
): PluginHost {
  const told = plugin.settings ?? {};
  if (plugin.builtIn !== undefined) return builtInHost(plugin.builtIn, told);
  const { manifest, origin, carrier, sha256, processes } = plugin as FoundPlugin;
  if (carrier === "module") {
    provideContract();
    const pin = sha256 === undefined ? {} : { sha256 };
    const places = settings.places ?? "mistakes";
    const parts = { ...trustParts(), modules };
    return moduleHost(origin, manifest, parts, { ...pin, settings: told, places });
  }
  return new ProcessHost(origin, manifest, {
    ...trustParts(),
    ...settings,
    children: systemPipedChildren,
    table: systemProcessTable,
    clock: systemClock,
    host: `xdevd/${VERSION}`,
    makeGroup: makeControlGroup,
  }, {
    settings: told,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(processes === undefined ? {} : { processes }),
  });
}

/** For modules that were not bundled. */
function provideContract(): void {
  provideModule("xdevd/plugin", { ...contract });
}

/** A plugin that is a module, for its server: in another process than the daemon's. @throws PluginRefused */
export async function loadServedPlugin(
  origin: string,
  manifest: contract.PluginManifest,
): Promise<object> {
  provideContract();
  return await loadPlugin(origin, manifest, { ...trustParts(), modules: systemModules });
}

/** What the configuration tells a plugin. @throws CodedError when it has no such setting */
export function ownSettings(plugin: Available, settings: Settings): PluginHost["settings"] {
  const of = (all: Settings) => settingsOf(plugin, all)?.settings ?? {};
  const { name, settings: known = {} } = plugin.manifest;
  const own = of(settings);
  for (const setting of Object.keys(own)) {
    if (Object.hasOwn(known, setting)) continue;
    const accepted = Object.keys(known).join(", ") || "none";
    throw new CodedError(
      "bad-configuration",
      `${placeOf(settings, (all) => Object.hasOwn(of(all), setting))}` +
        `setting ${setting} of plugin ${name} is unknown; it has ${accepted}`,
    );
  }
  return own;
}

/** `configuration file …: line …: `, the first with which something is true. */
function placeOf({ source }: Settings, isTrue: (settings: Settings) => boolean): string {
  if (source === undefined) return "";
  const line = firstLine(source.text, (part) => isTrue(parseSettings(part)));
  return `configuration file ${source.path}: ${line === undefined ? "" : `line ${line}: `}`;
}

/** The configuration file's. @throws CodedError that says what is wrong with it */
export async function readSettings(
  { config, kind = {} }: PluginOptions,
  trust: TrustParts = trustParts(),
): Promise<Settings> {
  const path = config ?? DEFAULT_CONFIG;
  let settings = NO_SETTINGS;
  try {
    if (config !== undefined || await isThere(trust.files, path)) {
      await checkPluginFile(trust, path);
      const text = await trust.files.readText(path);
      settings = { ...parseSettings(text), source: { path, text } };
    }
  } catch (error) {
    const message = (error as Error).message.replace(/^plugin (?=\/)/, "");
    const what = message.startsWith(path) ? message : `${path}: ${message}`;
    throw new CodedError("bad-configuration", `configuration file ${what}`);
  }
  return { ...settings, kinds: new Map([...settings.kinds, ...Object.entries(kind)]) };
}
