/** What is known of this plugin before it is loaded. */
import type { PluginManifest } from "../../plugins/contract.ts";

export const manifest: PluginManifest = {
  name: "vif",
  version: "0.1.0",
  api: 1,
  kinds: ["vif"],
  description: "network interfaces, set up by the hotplug script that the backend names",
  sample: {
    backend: {
      script: "{work}/scripts/vif",
      type: "vif",
      handle: "0",
      mac: "00:16:3e:00:00:01",
      bridge: "xenbr0",
    },
  },
};
