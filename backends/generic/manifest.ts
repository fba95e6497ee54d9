/** What is known of this plugin before it is loaded. */
import type { PluginManifest } from "../../contract/v1/plugin.ts";

export const manifest: PluginManifest = {
  name: "generic",
  version: "0.2.0",
  api: 1,
  // libxl_types_internal.idl; those of them that neither need a script nor QEMU.
  kinds: [
    "vusb",
    "vdispl",
    "vsnd",
    "pvcalls",
    "virtio",
    "virtio_disk",
    "vinput",
    "xen_9pfs",
  ],
  // Nobody sets anything up.
  proof: ["state"],
  frontendKind: { vinput: "vkbd", xen_9pfs: "9pfs" },
  description: "kinds whose backend does all by itself: the daemon follows and cleans up",
};
