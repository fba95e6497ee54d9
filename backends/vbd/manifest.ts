/** What is known of this plugin before it is loaded. */
import type { PluginManifest } from "../../contract/v1/plugin.ts";
import { NATIVE_SETTING } from "../shared/native_choice.ts";

export const manifest: PluginManifest = {
  name: "vbd",
  version: "0.3.0",
  api: 1,
  kinds: ["vbd", "vbd3"],
  description: "block devices, set up by the hotplug script that the backend names, or without one",
  // The kernel's backend gets to state 4 only with a device, which only the script can have named.
  proof: ["status", "state", "result"],
  results: ["physical-device", "physical-device-path", "node"],
  settings: { native: NATIVE_SETTING },
  sample: {
    backend: { params: "{work}/disk.img", script: "{work}/scripts/block", mode: "w", type: "phy" },
    files: { "{work}/disk.img": "a disk" },
  },
};
