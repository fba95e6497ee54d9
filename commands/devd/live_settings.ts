/** The configuration of a daemon that runs: what of it can be changed under way. */
import type { VersionCache } from "../../core/hotplug/v2/version.ts";
import type { PluginHost } from "../../core/daemon/plugin/host.ts";
import type { PluginSettings, Settings } from "../../plugins/settings.ts";
import { type Available, ownSettings } from "../plugin/set.ts";

/** What has changed, as sections and names of the file. */
export interface Changes {
  /** Holds from the next call on. */
  readonly applied: readonly string[];
  /** Differs from what the daemon was started with, and takes a restart. */
  readonly pending: readonly string[];
}

/** Of a plugin's settings, what decides how it is carried. */
const CARRIED = ["enabled", "sha256", "processes"] as const;

/** What the daemon goes by. */
export class LiveSettings {
  readonly #first: Settings;
  #scripts: Settings["scripts"];
  readonly #hosts: readonly (readonly [Available, PluginHost])[];
  readonly #versions: VersionCache;

  /** @param hosts of the plugins that are used */
  constructor(
    settings: Settings,
    hosts: readonly (readonly [Available, PluginHost])[],
    versions: VersionCache,
  ) {
    this.#first = settings;
    this.#scripts = settings.scripts;
    this.#hosts = hosts;
    this.#versions = versions;
  }

  /**
   * Goes by other settings, as far as that can be done under way.
   * @throws CodedError when a plugin cannot take them; then nothing has changed
   */
  apply(settings: Settings): Changes {
    const told = this.#hosts.map(([plugin, host]) =>
      [host, ownSettings(plugin, settings)] as const
    );
    const applied: string[] = [];
    for (const [host, own] of told) {
      const names = differing(new Map(Object.entries(host.settings)), new Map(Object.entries(own)));
      applied.push(...names.map((name) => `[plugins.${host.manifest.name}.settings] ${name}`));
      host.settings = own;
    }
    const scripts = differing(this.#scripts, settings.scripts);
    applied.push(...scripts.map((name) => `[scripts.${JSON.stringify(name)}]`));
    this.#scripts = settings.scripts;
    this.#versions.force(settings.scripts);
    return { applied, pending: pendingOf(this.#first, settings) };
  }
}

function pendingOf(before: Settings, now: Settings): string[] {
  const carried = (name: typeof CARRIED[number], { plugins }: Settings) =>
    new Map<string, PluginSettings[typeof name]>(
      [...plugins].map(([plugin, settings]) => [plugin, settings[name]]),
    );
  return [
    ...differing(before.kinds, now.kinds).map((kind) => `[kinds] ${kind}`),
    ...CARRIED.flatMap((name) =>
      differing(carried(name, before), carried(name, now), name === "enabled" ? true : undefined)
        .map((plugin) => `[plugins.${plugin}] ${name}`)
    ),
  ];
}

/** Names of what differs. @param missing what is meant by none */
function differing<T>(
  before: ReadonlyMap<string, T>,
  now: ReadonlyMap<string, T>,
  missing?: T,
): string[] {
  const text = (of: ReadonlyMap<string, T>, name: string) =>
    JSON.stringify(of.get(name) ?? missing);
  return [...new Set([...before.keys(), ...now.keys()])]
    .filter((name) => text(before, name) !== text(now, name));
}
