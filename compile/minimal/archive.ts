/**
 * File systems of driver domains, for the kernel to unpack: one with xdevd and nothing of Xen's, and the same with
 * `xl devd` and what that needs, to compare.
 */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Archive } from "../image/cpio.ts";
import { addModules, type Kernel } from "../image/kernel.ts";
import {
  addBusybox,
  addMergedLayout,
  addPrograms,
  addResolved,
  librariesOf,
} from "../image/programs.ts";
import {
  addXl,
  scriptFiles,
  scriptPrograms,
  scriptXenstoreTools,
  xenModules,
} from "../image/stock.ts";

/** Backends of disks and network interfaces, and what those lie on. */
const backendModules = ["xen-blkback", "xen-netback", "loop", "bridge"];

/** What `xl devd` and its scripts want of a system besides: they lock by `/dev/stdin`. */
const stockStart = [
  "ln -s /proc/self/fd /dev/fd",
  "ln -s fd/0 /dev/stdin",
  "ln -s fd/1 /dev/stdout",
  "ln -s fd/2 /dev/stderr",
  "mount -t xenfs xenfs /proc/xen",
  "mkdir -p /run/lock /run/xen /var/lib/xen",
  "",
].join("\n");

const templates = dirname(fileURLToPath(import.meta.url));

/** What a minimal driver domain is made of. */
export interface MinimalDomain {
  readonly kernel: Pick<Kernel, "modules" | "release">;
  /** The compiled daemon. */
  readonly daemon: string;
  /** More modules, e.g. of a network card. */
  readonly modules: readonly string[];
  /** Shell text that is run before the daemon: bridges, file systems. By default it makes a bridge `br0`. */
  readonly setup?: string;
}

/** A driver domain: kernel modules, busybox, the daemon (with the libraries of a full one), and an init of a few lines. */
export function minimalDomain({ kernel, daemon, modules, setup }: MinimalDomain): Archive {
  const archive = new Archive();
  addMergedLayout(archive);
  addBase(archive, kernel, [...backendModules, ...modules]);
  archive.addFile("init", join(templates, "init"), 0o755);
  archive.addText("etc/setup", setup ?? fs.readFileSync(join(templates, "setup"), "utf8"));
  archive.addFile("usr/sbin/xdevd", daemon, 0o755);
  for (const library of librariesOf(daemon)) addResolved(archive, library);
  return archive;
}

/** The same with `xl devd`, bash, the hotplug scripts `block` and `vif-bridge`, and what they start and load. */
export function stockDomain({ kernel, modules, setup }: Omit<MinimalDomain, "daemon">): Archive {
  const archive = new Archive();
  addMergedLayout(archive);
  // Before busybox, which fills the gaps.
  addPrograms(archive, [...scriptPrograms, ...scriptXenstoreTools]);
  addXl(archive);
  for (const script of scriptFiles) addResolved(archive, script);
  addBase(archive, kernel, [...xenModules, ...backendModules, ...modules]);
  const init = fs.readFileSync(join(templates, "init"), "utf8");
  const before = "ip link set lo up\n";
  const stockInit = init.replace(before, stockStart + before).replace("xdevd devd", "xl devd");
  archive.addText("init", stockInit, 0o755);
  archive.addText("etc/setup", setup ?? fs.readFileSync(join(templates, "setup"), "utf8"));
  return archive;
}

function addBase(archive: Archive, kernel: MinimalDomain["kernel"], modules: string[]): void {
  archive.addFile("usr/sbin/poweroff", join(templates, "poweroff"), 0o755);
  addBusybox(archive);
  addModules(archive, kernel, "etc/modules", modules);
  for (const directory of ["dev", "proc", "sys", "run", "tmp", "root", "mnt", "var/log/xen"]) {
    archive.set(directory, { type: "directory" });
  }
  archive.set("var/run", { type: "link", target: "../run" });
  archive.set("var/lock", { type: "link", target: "../run" });
  archive.addText("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
  archive.addText("etc/group", "root:x:0:\n");
}
