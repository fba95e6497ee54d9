/** What is known of this plugin before it is loaded. */
import type { PluginManifest } from "../../contract/v1/plugin.ts";

/** Debian's, of its package qemu-system-xen. */
export const DEFAULT_BINARY = "/usr/libexec/xen-qemu-system-i386";

export const manifest: PluginManifest = {
  name: "qemu",
  version: "0.1.0",
  api: 1,
  // The set "QEMU-backed" of libxl_internal.h.
  kinds: ["qdisk", "9pfs", "qusb", "vkbd", "vfb"],
  description: "kinds that QEMU serves: disks and file systems, by one QEMU for each guest",
  frontendKind: { qdisk: "vbd", qusb: "vusb" },
  waitsForBackend: false,
  servedByQemu: true,
  proof: ["state"],
  removesWithoutDirectory: true,
  settings: {
    binary: `QEMU's program, an absolute path (default ${DEFAULT_BINARY})`,
    user: "the user that QEMU becomes when it has started (-runas); default: none, it stays root",
    arguments: "a list of further arguments of QEMU",
    serve: "a list of the kinds qusb, vkbd, vfb for which QEMU is started too (default none)",
  },
  sample: {
    backend: {
      params: "aio:{work}/disk.img",
      mode: "w",
      type: "qdisk",
      "device-type": "disk",
      dev: "xvda",
    },
    files: { "{work}/disk.img": "nothing" },
    settings: { binary: "{work}/scripts/qemu" },
  },
};
