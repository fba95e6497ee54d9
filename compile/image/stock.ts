/** What a driver domain needs for `xl devd`, of the packages of Debian 12. */
import * as fs from "node:fs";
import type { Archive } from "./cpio.ts";
import { addPrograms, addResolved } from "./programs.ts";

/** Where Debian keeps what libxl calls its private programs. */
export const xenPrograms = "/usr/lib/xen-4.17/bin";

/** `xl`, and libgcc_s, which it loads when one of its threads is cancelled and aborts without. */
export const xlFiles = [`${xenPrograms}/xl`, "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1"];

/** The kernel's modules that libxl talks to. */
export const xenModules = ["xenfs", "xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc"];

/** Programs that Debian's hotplug scripts need and that busybox lacks or has otherwise. */
export const scriptPrograms = [
  "/usr/bin/bash",
  "/usr/bin/expr",
  "/usr/bin/flock",
  "/usr/bin/stat",
  "/usr/sbin/bridge",
  "/usr/sbin/ip",
  "/usr/sbin/losetup",
];

/** Of `/etc/xen/scripts`: `block`, `vif-bridge` and what they include. */
export const scriptFiles = [
  ...["block", "block-common.sh", "hotplugpath.sh", "locking.sh", "logging.sh", "vif-bridge"],
  ...["vif-common.sh", "xen-hotplug-common.sh", "xen-network-common.sh", "xen-script-common.sh"],
].map((name) => `/etc/xen/scripts/${name}`);

/** Tools of the store that the scripts call. */
export const scriptXenstoreTools = ["exists", "list", "read", "rm", "write"]
  .map((name) => `/usr/bin/xenstore-${name}`);

/** Adds `xl` with its libraries and configuration. */
export function addXl(archive: Archive): void {
  addPrograms(archive, xlFiles);
  archive.set("usr/bin/xl", { type: "link", target: xlFiles[0]! });
  archive.addFile("etc/xen/xl.conf", "/etc/xen/xl.conf");
}

/** Adds all hotplug scripts that are installed, and the programs. */
export function addScripts(archive: Archive): void {
  addPrograms(archive, scriptPrograms);
  for (const name of fs.readdirSync("/etc/xen/scripts")) {
    addResolved(archive, `/etc/xen/scripts/${name}`);
  }
}
