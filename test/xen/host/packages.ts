/** The Debian packages that the lab is made of. */
import { commandText } from "./command.ts";
import { LabError } from "./lab_error.ts";

/** Programs and data that go into the images, or that make them. Their versions are the cache's key. */
const packages = [
  "bash",
  "busybox-static",
  "gcc",
  "iproute2",
  "kmod",
  "libc6",
  "libgcc-s1",
  "libxen-dev",
  "mount",
  "qemu-system-data",
  "qemu-system-x86",
  "qemu-system-xen",
  "qemu-utils",
  "util-linux",
  "xen-hypervisor-4.17-amd64",
  "xen-utils-4.17",
  "xen-utils-common",
  "xenstore-utils",
  "xz-utils",
];

/** Where Debian keeps what libxl calls its private programs. */
export const xenPrograms = "/usr/lib/xen-4.17/bin";
/** The QEMU that libxl and we start for disks and shares that it serves. */
export const xenQemu = "/usr/libexec/xen-qemu-system-i386";
/** The hypervisor. */
export const hypervisor = "/boot/xen-4.17-amd64.gz";

/**
 * The installed versions, one line a package.
 * @throws LabError if one is missing
 */
export function installedVersions(): string {
  const format = "${Package} ${Version} ${db:Status-Status}\n";
  // Status 1: some of them are unknown to dpkg.
  const lines = commandText("dpkg-query", ["-W", "-f", format, ...packages], { accept: [1] })
    .split("\n").filter((line) => line.endsWith(" installed"));
  const installed = new Set(lines.map((line) => line.split(" ")[0]));
  const missing = packages.filter((name) => !installed.has(name));
  if (missing.length > 0) {
    throw new LabError(
      `Debian packages are missing: ${missing.join(" ")} ` +
        "(as root: node tools/setup.mjs --system=xen)",
    );
  }
  return lines.sort().join("\n");
}

/** A kernel package as apt would fetch it. */
export interface KernelPackage {
  readonly name: string;
  readonly version: string;
}

/**
 * The kernel that Debian's `linux-image-amd64` stands for now.
 * @throws LabError if apt has no lists
 */
export function kernelPackage(): KernelPackage {
  const depends = commandText("apt-cache", ["depends", "linux-image-amd64"], { accept: [100] });
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) {
    throw new LabError("apt knows no linux-image-amd64 (as root: apt-get update)");
  }
  const shown = commandText("apt-cache", ["show", "--no-all-versions", name]);
  const version = /^Version: (\S+)/m.exec(shown)?.[1];
  if (version === undefined) throw new LabError(`apt knows no version of ${name}`);
  return { name, version };
}
