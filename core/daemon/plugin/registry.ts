/** Which plugin serves which kind. */
import type { PluginHost } from "./host.ts";

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
