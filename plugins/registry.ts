/** Which plugin serves which kind. */
import { type BackendPlugin, CONTRACT_VERSION } from "./contract.ts";

/** Finds the plugin of a kind. */
export class PluginRegistry {
  readonly #byKind = new Map<string, BackendPlugin>();

  /**
   * @throws Error when a plugin was written for another contract, or two plugins claim one kind
   */
  constructor(plugins: readonly BackendPlugin[]) {
    for (const plugin of plugins) {
      if (plugin.api !== CONTRACT_VERSION) {
        throw new Error(
          `plugin ${plugin.name} was written for contract ${plugin.api}; ` +
            `this is contract ${CONTRACT_VERSION}`,
        );
      }
      for (const kind of plugin.kinds) {
        const other = this.#byKind.get(kind);
        if (other !== undefined) {
          throw new Error(`plugins ${other.name} and ${plugin.name} both serve kind ${kind}`);
        }
        this.#byKind.set(kind, plugin);
      }
    }
  }

  /** Kinds that can be served. */
  get kinds(): string[] {
    return [...this.#byKind.keys()];
  }

  /** The plugin of a kind, or undefined. */
  find(kind: string): BackendPlugin | undefined {
    return this.#byKind.get(kind);
  }
}
