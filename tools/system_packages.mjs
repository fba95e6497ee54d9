// @ts-check
/**
 * The Debian packages that the real tests need beyond Node and npm, and why. `tools/setup.mjs`
 * installs them; `test/real/requirements.ts` tells from `probe` whether a test can run.
 */

/**
 * @typedef {object} SystemPackage
 * @property {string} name the package's name in Debian 12
 * @property {"base" | "xen" | "boot"} group `base` for `npm test` and `test:more`, `xen` for booting a real Xen in
 *   QEMU, `boot` for booting Debian with our packages in QEMU
 * @property {string} why what it is needed for
 * @property {string} probe a file that it brings and that a test is about to use
 */

/** @type {readonly SystemPackage[]} */
export const systemPackages = [
  {
    name: "xen-utils-4.17",
    group: "base",
    why: "xenstored and xl, unmodified; brings xen-utils-common with the hotplug scripts",
    probe: "/usr/lib/xen-4.17/bin/xenstored",
  },
  {
    name: "xen-utils-common",
    group: "base",
    why: "the hotplug scripts in /etc/xen/scripts",
    probe: "/etc/xen/scripts/block",
  },
  {
    name: "cpio",
    group: "base",
    why: "unpacks an image of ours in a test",
    probe: "/usr/bin/cpio",
  },
  {
    name: "systemd",
    group: "base",
    why: "systemd-analyze, which judges our unit; nothing of it is started",
    probe: "/usr/bin/systemd-analyze",
  },
  {
    name: "net-tools",
    group: "base",
    why: "ifconfig, which Debian's vif-route calls",
    probe: "/sbin/ifconfig",
  },
  {
    name: "e2fsprogs",
    group: "base",
    why: "mkfs.ext4, for an image that is mounted",
    probe: "/sbin/mkfs.ext4",
  },
  {
    name: "python3-minimal",
    group: "base",
    why: "the plugin that `xdevd plugin new --carrier process` writes",
    probe: "/usr/bin/python3",
  },
  {
    name: "man-db",
    group: "base",
    why: "man, which reads our manual pages as lintian does",
    probe: "/usr/bin/man",
  },
  {
    name: "xenstore-utils",
    group: "base",
    why: "xenstore-ls, xenstore-read and the like, as independent clients",
    probe: "/usr/bin/xenstore-ls",
  },
  {
    name: "libxen-dev",
    group: "base",
    why: "headers and libxenstore to build the shim under xenstored",
    probe: "/usr/include/xenstore.h",
  },
  {
    name: "gcc",
    group: "base",
    why: "compiles the shim, and the small binary",
    probe: "/usr/bin/gcc",
  },
  {
    name: "gcc-aarch64-linux-gnu",
    group: "base",
    why: "compiles the small binary for arm64",
    probe: "/usr/bin/aarch64-linux-gnu-gcc",
  },
  {
    name: "xz-utils",
    group: "base",
    why: "unpacks the source of the small binary's engine, kernels and modules",
    probe: "/usr/bin/xz",
  },
  {
    name: "libc6-dev",
    group: "base",
    why: "the C headers, which gcc only recommends",
    probe: "/usr/include/stdio.h",
  },
  {
    name: "make",
    group: "base",
    why: "builds the shim",
    probe: "/usr/bin/make",
  },
  {
    name: "swtpm",
    group: "base",
    why: "the TPM behind a vTPM",
    probe: "/usr/bin/swtpm",
  },
  {
    name: "util-linux",
    group: "base",
    why: "flock and unshare, used by the tests and by Xen's hotplug scripts",
    probe: "/usr/bin/flock",
  },
  {
    name: "mount",
    group: "base",
    why: "losetup, for Xen's block script",
    probe: "/sbin/losetup",
  },
  {
    name: "iproute2",
    group: "base",
    why: "ip and bridge, used by the tests and by Xen's vif scripts",
    probe: "/sbin/ip",
  },
  {
    name: "procps",
    group: "base",
    why: "ps, to prove that no process is left behind",
    probe: "/usr/bin/ps",
  },
  {
    name: "qemu-system-x86",
    group: "xen",
    why: "the machine that Xen boots on",
    probe: "/usr/bin/qemu-system-x86_64",
  },
  {
    name: "qemu-system-x86",
    group: "boot",
    why: "the machine that Debian boots on",
    probe: "/usr/bin/qemu-system-x86_64",
  },
  {
    name: "mmdebstrap",
    group: "boot",
    why: "makes the systems that are booted",
    probe: "/usr/bin/mmdebstrap",
  },
  {
    name: "qemu-system-xen",
    group: "xen",
    why: "the QEMU that serves disks and shares in driver domains",
    probe: "/usr/libexec/xen-qemu-system-i386",
  },
  {
    name: "qemu-utils",
    group: "xen",
    why: "qemu-img, which makes and reads images of QEMU's formats",
    probe: "/usr/bin/qemu-img",
  },
  {
    name: "xen-hypervisor-4.17-amd64",
    group: "xen",
    why: "the hypervisor",
    probe: "/boot/xen-4.17-amd64.gz",
  },
  {
    name: "busybox-static",
    group: "xen",
    why: "userland of the small domains' images",
    probe: "/bin/busybox",
  },
  {
    name: "dmsetup",
    group: "xen",
    why: "device-mapper tables in the small driver domains",
    probe: "/sbin/dmsetup",
  },
  {
    name: "kmod",
    group: "xen",
    why: "depmod, for the kernel modules in the images",
    probe: "/sbin/depmod",
  },
];
