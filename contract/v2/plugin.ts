/**
 * The plugin contract, version 2: all of version 1, and servers, which share memory with a guest
 * (docs/plugins.md, "A userspace backend in an afternoon"). A plugin that has one says `api: 2`, and
 * describes it in its manifest's `server`.
 */
import type { BackendPlugin } from "../v1/plugin.ts";
import type { ServerOpener } from "./server.ts";

export * from "../v1/plugin.ts";
export type * from "./manifest.ts";
export { GuestMemory } from "./memory.ts";
export { BackRing } from "./ring.ts";
export type * from "./server.ts";

/** A plugin with a server. */
export interface ServedPlugin extends BackendPlugin {
  /** Called in the process of a device's server, never in the daemon. */
  readonly openServer: ServerOpener;
}

/** Returns its argument; gives authors types without annotations. */
export function defineServedPlugin(plugin: ServedPlugin): ServedPlugin {
  return plugin;
}
