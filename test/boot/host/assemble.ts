/** What a machine boots: the cached system with our program in it, an initramfs, and what checks. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { basename, join } from "node:path";
import { command } from "../../../compile/image/command.ts";
import { BootError } from "./boot_error.ts";
import type { Init } from "./roots.ts";
import { addStore } from "./store.ts";

/** Our program, in the shapes in which it is installed. */
export interface Program {
  /** The Debian package. */
  readonly package: string;
  /** The same, with a higher version. */
  readonly newer: string;
  /** That of the full binary. */
  readonly full: string;
  /** The binary alone. */
  readonly binary: string;
}

/** What QEMU is given. */
export interface Machine {
  readonly kernel: string;
  readonly initramfs: string;
  readonly disk: string;
}

const DISK_MB = 1700;
/** The disk that the initramfs is to serve. */
const EARLY_DISK = "7 vdev=xvda,target=/dev/vdb\n";

const LAB_UNIT = `[Unit]
Description=Checks of the lab
After=xdevd.service
[Service]
ExecStart=/bin/sh /lab/systemd.sh
[Install]
WantedBy=multi-user.target
`;

/**
 * Makes a machine's files below `directory`.
 * @param root the cached system, which stays as it is
 * @param inside the directory of what is run in the machine
 * @throws ImageError with what a program said
 */
export function assemble(
  init: Init,
  root: string,
  inside: string,
  program: Program,
  directory: string,
): Machine {
  const copy = join(directory, "root");
  command("cp", ["-a", root, copy]);
  try {
    command("cp", ["-R", inside, join(copy, "lab")]);
    addStore(join(copy, "lab"));
    fs.writeFileSync(join(copy, "lab/one-shot.sh"), oneShot());
    if (init === "openrc") addBinary(copy, program.binary);
    else installPackage(copy, program);
    startChecks(init, copy);
    const machine = {
      kernel: join(directory, "vmlinuz"),
      initramfs: join(directory, "initramfs"),
      disk: join(directory, "disk"),
    };
    fs.renameSync(makeInitramfs(copy), machine.initramfs);
    fs.copyFileSync(only(join(copy, "boot"), "vmlinuz-"), machine.kernel);
    command("mke2fs", ["-q", "-F", "-t", "ext4", "-d", copy, machine.disk, `${DISK_MB}M`]);
    return machine;
  } finally {
    fs.rmSync(copy, { recursive: true, force: true });
  }
}

/** The lines that the manual has for an initramfs of one's own. */
function oneShot(): string {
  const found = /^```sh\n(#!\/bin\/sh\n.*? block-attach .*?)^```$/ms
    .exec(fs.readFileSync("docs/cli.md", "utf8"));
  if (found === null) throw new BootError("docs/cli.md has no script with block-attach");
  return found[1]!;
}

/** As on a system that does not run: nothing can be started. */
function installPackage(root: string, program: Program): void {
  fs.copyFileSync(program.package, join(root, "lab/package.deb"));
  inside(root, "dpkg -i /lab/package.deb");
  fs.rmSync(join(root, "lab/package.deb"));
  fs.copyFileSync(program.newer, join(root, "lab/newer.deb"));
  fs.copyFileSync(program.full, join(root, "lab/full.deb"));
  fs.appendFileSync(join(root, "etc/xdevd/initramfs.conf"), EARLY_DISK);
}

/** What a system has when the instructions for one without packages begin: no xenstore tools either. */
function addBinary(root: string, binary: string): void {
  fs.copyFileSync(binary, join(root, "lab", basename(binary)));
  inside(root, "dpkg --force-depends --remove xenstore-utils");
}

function startChecks(init: Init, root: string): void {
  if (init === "systemd") {
    fs.writeFileSync(join(root, "etc/systemd/system/lab.service"), LAB_UNIT);
    inside(root, "systemctl enable lab.service");
  } else {
    fs.appendFileSync(join(root, "etc/inittab"), `lab:2345:once:/bin/sh /lab/${init}.sh\n`);
  }
  const script = join(root, "etc/xen/scripts/block");
  fs.renameSync(script, `${script}.debian`);
  fs.copyFileSync(join(root, "lab/block"), script);
  fs.chmodSync(script, 0o755);
}

/** With the lab's store in it, by what the system has for making one. @returns the file */
function makeInitramfs(root: string): string {
  const lab = join(root, "lab");
  const made = join(root, "initramfs.img");
  const release = only(join(root, "usr/lib/modules"), "").split("/").at(-1)!;
  const place = (from: string, to: string) => {
    fs.mkdirSync(join(root, to, ".."), { recursive: true });
    fs.copyFileSync(join(lab, from), join(root, to));
    fs.chmodSync(join(root, to), 0o755);
  };
  for (const name of ["store.sh", "early.sh", "root_found.sh"]) {
    fs.chmodSync(join(lab, name), 0o755);
  }
  if (fs.existsSync(join(root, "etc/initramfs-tools"))) {
    place("initramfs-tools/hook", "etc/initramfs-tools/hooks/lab");
    place("initramfs-tools/store", "etc/initramfs-tools/scripts/init-premount/lab");
    place("initramfs-tools/bottom", "etc/initramfs-tools/scripts/init-bottom/lab");
    // As update-initramfs does it.
    inside(root, `mkinitramfs -o /initramfs.img ${release}`);
  } else {
    for (const name of ["module-setup.sh", "store.sh", "bottom.sh"]) {
      place(`dracut/${name}`, `usr/lib/dracut/modules.d/95lab/${name}`);
    }
    inside(root, `dracut --quiet --force /initramfs.img ${release}`);
  }
  return made;
}

/** Runs a shell text in the system. @throws BootError with what it said */
function inside(root: string, text: string): void {
  const mounts = 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" "$@"';
  const argv = ["-m", "sh", "-c", mounts, root, "sh", "-c", text];
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND: "noninteractive" };
  const { status, stdout, stderr } = spawnSync("unshare", argv, { encoding: "utf8", env });
  if (status !== 0) {
    throw new BootError(`in ${root}: ${text}: status ${status}: ${stdout}${stderr}`.trim());
  }
}

/** The one file of that name's beginning. */
function only(directory: string, prefix: string): string {
  const names = fs.readdirSync(directory).filter((name) => name.startsWith(prefix));
  if (names.length !== 1) {
    throw new BootError(
      `${directory}: expected one ${prefix}*, found ${names.join(", ") || "none"}`,
    );
  }
  return join(directory, names[0]!);
}
