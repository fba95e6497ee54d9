/**
 * Small Debian systems that differ in their init and in what makes their initramfs: made by
 * mmdebstrap from the archive that this machine's apt uses, kept in the cache.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { command, commandText } from "../../../compile/image/command.ts";
import { BootError } from "./boot_error.ts";

/** An init that the daemon is started by. */
export type Init = "systemd" | "sysv" | "openrc";

/** What every system has: a kernel, what hotplug scripts call, and the scripts. */
const COMMON = [
  "iproute2",
  "kmod",
  "linux-image-amd64",
  "mount",
  "procps",
  "udev",
  "xen-utils-common",
  "xenstore-utils",
  "zstd",
];

/** What each has besides. */
export const PACKAGES: Readonly<Record<Init, readonly string[]>> = {
  systemd: ["systemd", "systemd-sysv", "initramfs-tools", "busybox"],
  sysv: ["sysvinit-core", "sysv-rc", "initscripts", "systemd-standalone-sysusers", "dracut"],
  openrc: ["sysvinit-core", "openrc", "systemd-standalone-sysusers", "initramfs-tools", "busybox"],
};

/** Most of the kernel is drivers for devices that the machine does not have. */
const LEFT_OUT = [
  "/usr/share/doc/*",
  "/usr/share/man/*",
  "/usr/share/locale/*",
  "/lib/modules/*/kernel/sound/*",
  ...[
    ...["accel", "ata", "firewire", "gpu", "hid", "hwmon", "iio", "infiniband", "input", "media"],
    ...["mmc", "mtd", "net/ethernet", "net/wireless", "nvme", "platform", "scsi", "staging", "usb"],
  ].map((name) => `/lib/modules/*/kernel/drivers/${name}/*`),
];

const INITRAMFS_MODULES = ["ext4", "virtio_blk", "virtio_pci", "loop"];

/**
 * The system's directory, made if it is not in the cache.
 * @throws BootError, ImageError with what mmdebstrap said
 */
export function provideRoot(init: Init, cache: string, say: (text: string) => void): string {
  const mirror = debianMirror();
  const recipe = JSON.stringify([init, COMMON, PACKAGES[init], LEFT_OUT, INITRAMFS_MODULES]);
  const key = createHash("sha256").update(recipe).update(kernelVersion()).digest("hex");
  const name = `${init}-${key.slice(0, 16)}`;
  const root = join(cache, name);
  if (fs.existsSync(root)) return root;
  say(`making a Debian with ${init}`);
  for (const old of fs.existsSync(cache) ? fs.readdirSync(cache) : []) {
    if (old.startsWith(`${init}-`)) fs.rmSync(join(cache, old), { recursive: true, force: true });
  }
  fs.mkdirSync(cache, { recursive: true });
  const part = `${root}.part`;
  command("mmdebstrap", [
    "--quiet",
    "--variant=essential",
    "--components=main",
    `--include=${[...COMMON, ...PACKAGES[init]].join(",")}`,
    '--aptopt=APT::Install-Recommends "false"',
    ...LEFT_OUT.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
    "bookworm",
    part,
    mirror,
  ]);
  finish(part);
  fs.renameSync(part, root);
  return root;
}

/** What no package does. */
function finish(root: string): void {
  fs.writeFileSync(join(root, "etc/fstab"), "/dev/vda / ext4 rw 0 0\n");
  fs.writeFileSync(join(root, "etc/hostname"), "driver\n");
  fs.rmSync(join(root, "etc/resolv.conf"), { force: true });
  for (const name of fs.readdirSync(join(root, "boot"))) {
    if (name.startsWith("initrd.img")) fs.rmSync(join(root, "boot", name));
  }
  const hooks = join(root, "etc/initramfs-tools");
  if (fs.existsSync(hooks)) {
    fs.writeFileSync(join(hooks, "modules"), `${INITRAMFS_MODULES.join("\n")}\n`);
    fs.mkdirSync(join(hooks, "conf.d"), { recursive: true });
    fs.writeFileSync(join(hooks, "conf.d/lab"), "MODULES=list\n");
  } else {
    const drivers = INITRAMFS_MODULES.join(" ");
    fs.mkdirSync(join(root, "etc/dracut.conf.d"), { recursive: true });
    const lines = [`drivers+=" ${drivers} "`, "hostonly=no", "compress=zstd"];
    fs.writeFileSync(join(root, "etc/dracut.conf.d/lab.conf"), `${lines.join("\n")}\n`);
  }
}

/** The archive that apt's main list came from. */
function debianMirror(): string {
  const targets = commandText("apt-get", ["indextargets", "--format", "$(REPO_URI) $(CODENAME)"]);
  const site = targets.split("\n").find((line) => line.endsWith(" bookworm"))?.split(" ")[0];
  if (site === undefined) throw new BootError("apt has no list of bookworm: run apt-get update");
  return site;
}

/** A newer kernel makes newer systems. */
function kernelVersion(): string {
  const shown = commandText("apt-cache", ["show", "--no-all-versions", "linux-image-amd64"]);
  const version = /^Version: (\S+)/m.exec(shown)?.[1];
  if (version === undefined) throw new BootError("apt knows no linux-image-amd64");
  return version;
}
