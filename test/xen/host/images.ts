/**
 * The part of the domains' file systems that comes from Debian's packages and from the agent's source. It changes
 * rarely and is cached; what the project writes is added to each run's images as an archive of its own
 * (see initrd.ts), for the kernel unpacks several archives one after the other.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { command } from "../../../compile/image/command.ts";
import { Archive } from "../../../compile/image/cpio.ts";
import {
  addModules,
  type Kernel,
  kernelPackage,
  unpackKernel,
} from "../../../compile/image/kernel.ts";
import {
  addBusybox,
  addMergedLayout,
  addPrograms,
  addResolved,
  librariesOf,
} from "../../../compile/image/programs.ts";
import { addScripts, addXl, xenModules, xenPrograms } from "../../../compile/image/stock.ts";
import { hypervisor, installedVersions, xenQemu } from "./packages.ts";

/** The files that every boot starts from. */
export interface Images {
  readonly hypervisor: string;
  readonly kernel: string;
  readonly dom0: string;
  readonly driver: string;
  readonly guest: string;
  /** Whose modules the domains have. */
  readonly unpackedKernel: Kernel;
}

/** Builders of images: a change in one of them, or in the agent, makes new images. */
const here = dirname(fileURLToPath(import.meta.url));
const builders = [
  ...["images.ts", "packages.ts"].map((name) => join(here, name)),
  ...["cpio.ts", "kernel.ts", "programs.ts", "stock.ts"]
    .map((name) => join(here, "../../../compile/image", name)),
];
const keptImages = 3;

const frontends = ["xen-blkfront", "xen-netfront", "9pnet_xen", "9p", "xen-tpmfront"];
const backends = ["xen-blkback", "xen-netback", "loop"];
/** What people put a guest's disk on, and what a driver domain itself does with a disk. */
const storage = ["dm-mod", "crc32c_generic", "ext4"];
const storagePrograms = ["/usr/bin/addpart", "/usr/bin/delpart", "/usr/sbin/dmsetup"];

/** Builds the images into the cache, or finds them there. */
export function provideImages(lab: string, say: (text: string) => void): Images {
  const cache = join(lab, "cache");
  const versions = installedVersions();
  const packed = kernelPackage();
  const kernel = unpackKernel(packed, join(cache, `kernel-${packed.version}`), say);
  const directory = join(cache, `images-${keyOf(lab, versions, kernel)}`);
  const images: Images = {
    hypervisor: join(directory, "xen"),
    kernel: kernel.image,
    dom0: join(directory, "dom0.cpio"),
    driver: join(directory, "driver.cpio"),
    guest: join(directory, "guest.cpio"),
    unpackedKernel: kernel,
  };
  const done = join(directory, "complete");
  if (!fs.existsSync(done)) {
    say("building images");
    fs.mkdirSync(directory, { recursive: true });
    fs.writeFileSync(images.hypervisor, gunzipSync(fs.readFileSync(hypervisor)));
    const agent = compileAgent(lab, directory);
    dom0Image(kernel, agent).writeTo(images.dom0);
    driverImage(kernel, agent).writeTo(images.driver);
    guestImage(kernel, agent).writeTo(images.guest);
    fs.writeFileSync(done, "");
    dropOld(cache);
  }
  return images;
}

function keyOf(lab: string, versions: string, kernel: Kernel): string {
  const hash = createHash("sha256").update(versions).update(kernel.release);
  const agent = fs.readdirSync(join(lab, "agent")).sort().map((name) => join(lab, "agent", name));
  for (const file of [...builders, ...agent]) {
    hash.update(fs.readFileSync(file));
  }
  return hash.digest("hex").slice(0, 16);
}

/** Keeps the newest few, so that going back and forth between branches is cheap. */
function dropOld(cache: string): void {
  fs.readdirSync(cache).filter((name) => name.startsWith("images-"))
    .map((name) => join(cache, name))
    .sort((a, b) => fs.statSync(b).mtimeMs - fs.statSync(a).mtimeMs)
    .slice(keptImages)
    .forEach((path) => fs.rmSync(path, { recursive: true, force: true }));
}

function compileAgent(lab: string, directory: string): string {
  const sources = fs.readdirSync(join(lab, "agent")).filter((name) => name.endsWith(".c"))
    .map((name) => join(lab, "agent", name));
  const out = join(directory, "lab");
  // Not static: libxenstore's xs_watch fails with EINVAL in a static program.
  const flags = ["-O2", "-Wall", "-Wextra", "-Werror"];
  command("gcc", [...flags, "-o", out, ...sources, "-lxenstore"]);
  return out;
}

/** What all domains have. Programs must have been added before: busybox fills the gaps. */
function finish(archive: Archive, kernel: Kernel, agent: string, modules: string[]): Archive {
  addBusybox(archive);
  archive.addFile("usr/bin/lab", agent, 0o755);
  for (const library of librariesOf(agent)) addResolved(archive, library);
  addModules(archive, kernel, "lab/modules", [...xenModules, ...modules]);
  for (
    const directory of [
      "dev",
      "proc",
      "sys",
      "run",
      "tmp",
      "root",
      "mnt",
      "var/lib/xen",
      "var/log/xen",
    ]
  ) {
    archive.set(directory, { type: "directory" });
  }
  archive.set("var/run", { type: "link", target: "../run" });
  archive.set("var/lock", { type: "link", target: "../run/lock" });
  archive.set("etc/mtab", { type: "link", target: "/proc/mounts" });
  archive.addText("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
  archive.addText("etc/group", "root:x:0:\n");
  return archive;
}

function addXenstoreTools(archive: Archive): void {
  const tools = ["read", "write", "ls", "list", "rm", "exists", "watch", "chmod"];
  addPrograms(archive, tools.map((tool) => `/usr/bin/xenstore-${tool}`));
}

function dom0Image(kernel: Kernel, agent: string): Archive {
  const archive = new Archive();
  addMergedLayout(archive);
  addPrograms(archive, ["/usr/bin/bash", "/usr/bin/flock"]);
  addXenstoreTools(archive);
  addXl(archive);
  // Up to Xen 4.18 the toolstack starts one here for each guest with a share, whoever serves that.
  addPrograms(archive, [xenQemu]);
  // It is told to have no display, and does not start without a keymap.
  addResolved(archive, "/usr/share/qemu/keymaps/en-us");
  const programs = [
    ...["xenstored", "xenconsoled", "xen-init-dom0", "xenstore-control"],
    "libxl-save-helper", // for a migration
  ];
  addPrograms(archive, programs.map((name) => `${xenPrograms}/${name}`));
  for (const name of programs) {
    archive.set(`usr/bin/${name}`, { type: "link", target: `${xenPrograms}/${name}` });
  }
  return finish(archive, kernel, agent, []);
}

function driverImage(kernel: Kernel, agent: string): Archive {
  const archive = new Archive();
  addMergedLayout(archive);
  addXenstoreTools(archive);
  addXl(archive);
  addScripts(archive);
  addPrograms(archive, [xenQemu, "/usr/bin/qemu-img", "/usr/bin/swtpm", ...storagePrograms]);
  const modules = [...backends, ...storage, "bridge", "brd rd_nr=4 rd_size=16384"];
  return finish(archive, kernel, agent, modules);
}

function guestImage(kernel: Kernel, agent: string): Archive {
  const archive = new Archive();
  addMergedLayout(archive);
  return finish(archive, kernel, agent, frontends);
}
