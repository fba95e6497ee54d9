/**
 * The plugins that are compiled in: all of ours. `npm run compile -- --with NAMES` puts another list
 * in this one's place.
 */
import type { BuiltIn } from "./core/daemon/plugin/host.ts";
import { manifest as generic } from "./backends/generic/manifest.ts";
import { manifest as qemu } from "./backends/qemu/manifest.ts";
import { manifest as vbd } from "./backends/vbd/manifest.ts";
import { manifest as vtpm } from "./backends/vtpm/manifest.ts";
import { manifest as vif } from "./backends/vif/manifest.ts";

export const builtIns: readonly BuiltIn[] = [
  { manifest: vbd, load: async () => (await import("./backends/vbd/plugin.ts")).default },
  { manifest: vif, load: async () => (await import("./backends/vif/plugin.ts")).default },
  { manifest: qemu, load: async () => (await import("./backends/qemu/plugin.ts")).default },
  {
    manifest: vtpm,
    load: async () => (await import("./backends/vtpm/plugin.ts")).default,
    openServer: async () => (await import("./backends/vtpm/server.ts")).openServer,
  },
  { manifest: generic, load: async () => (await import("./backends/generic/plugin.ts")).default },
];
