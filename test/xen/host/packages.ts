/** The Debian packages that the lab is made of. */
import { commandText } from "../../../compile/image/command.ts";
import { LabError } from "./lab_error.ts";

/** Programs and data that go into the images, or that make them. Their versions are the cache's key. */
const packages = [
  "bash",
  "busybox-static",
  "dmsetup",
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
  "swtpm",
  "util-linux",
  "xen-hypervisor-4.17-amd64",
  "xen-utils-4.17",
  "xen-utils-common",
  "xenstore-utils",
  "xz-utils",
];

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
