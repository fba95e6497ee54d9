/** Behind what a call has to wait for storage: where one does not come back, the next one would not either. */
import { readText } from "../io/file_calls.ts";
import { majorOf, minorOf } from "../linux/device_numbers.ts";
import { type MountEntry, mountOf, readMountTable } from "../linux/mount_table.ts";
import type { StorageCall } from "./frames.ts";

/** File systems that keep all in this machine's memory, or in block devices of their own. */
const OWN =
  /^(bcachefs|binfmt_misc|bpf|btrfs|cgroup2?|configfs|debugfs|devpts|devtmpfs|efivarfs|fusectl|hugetlbfs|mqueue|overlay|proc|pstore|ramfs|rootfs|securityfs|selinuxfs|squashfs|sysfs|tmpfs|tracefs|xenfs|zfs)$/;

/**
 * What a call asks: the mount, where a server or program answers for all of it, else the very path.
 * It is told by the kernel's memory, and printable.
 */
export function placeOf(call: StorageCall): string {
  try {
    return placeIn(readMountTable(), call, backingFile);
  } catch {
    return JSON.stringify(subjectOf(call).path ?? call.call);
  }
}

/** The same, by these mounts. Pure but for `backing`, which tells what a loop device carries. */
export function placeIn(
  mounts: readonly MountEntry[],
  call: StorageCall,
  backing: (loop: string) => string | undefined,
): string {
  const { path, file } = subjectOf(call);
  if (path === undefined) {
    const mount = mounts.find(({ device }) => file !== undefined && device === file);
    return mount === undefined ? JSON.stringify(call.call) : nameOf(mount);
  }
  const loop = /^\/dev\/(loop\d+)$/.exec(path)?.[1];
  const asked = (loop === undefined ? undefined : backing(loop)) ?? path;
  const mount = mountOf(mounts, asked);
  return mount === undefined || !isServed(mount) ? JSON.stringify(asked) : nameOf(mount);
}

/** Whether somebody else answers for what is on it. */
function isServed({ device, type }: MountEntry): boolean {
  return device.startsWith("0:") && !OWN.test(type);
}

function nameOf({ point, type }: MountEntry): string {
  return `${JSON.stringify(point)} (${type})`;
}

/** What a call names: a path, or a file by its identity (`<st_dev>:<st_ino>`), of which the device counts. */
function subjectOf({ args: [first] }: StorageCall): { path?: string; file?: string } {
  if (typeof first === "string") return { path: first };
  const { path, node, file } = (first ?? {}) as Record<string, unknown>;
  if (typeof path === "string") return { path };
  if (typeof node === "string") return { path: node };
  return typeof file === "string" ? { file: numberOf(file) } : {};
}

/** `major:minor` of a file's device. */
function numberOf(identity: string): string {
  const device = BigInt(/^\d+/.exec(identity)?.[0] ?? 0);
  return `${majorOf(device)}:${minorOf(device)}`;
}

function backingFile(loop: string): string | undefined {
  try {
    return readText(`/sys/block/${loop}/loop/backing_file`).replace(/\n$/, "");
  } catch {
    return undefined;
  }
}
