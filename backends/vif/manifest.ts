/** What is known of this plugin before it is loaded. */
import type { PluginManifest } from "../../contract/v1/plugin.ts";
import { NATIVE_SETTING } from "../shared/native_choice.ts";

export const manifest: PluginManifest = {
  name: "vif",
  version: "0.2.0",
  api: 1,
  kinds: ["vif"],
  description: "network interfaces, set up by the script that the backend names, or without one",
  // The kernel's backend may get to state 4 by itself.
  proof: ["status"],
  settings: {
    native: NATIVE_SETTING,
    "packet-filter":
      "whether iptables is told to let the guest's packets pass (native; default no)",
  },
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
