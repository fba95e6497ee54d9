/**
 * Loop devices that are attached: looking at them, finding them, and detaching. What sysfs tells is not
 * asked of the driver: LOOP_GET_STATUS64 asks the file's server, which may not answer.
 */
import type {
  LoopBounds,
  LoopDetached,
  LoopDevice,
  LoopUse,
  StorageIdentity,
} from "../../contract/v1/block.ts";
import { diskSequence } from "./block_queries.ts";
import { majorOf, minorOf } from "./device_numbers.ts";
import type { Ioctl } from "./ioctl.ts";
import {
  closeFile,
  exists,
  list,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  openFile,
  openStatus,
  readText,
} from "../io/file_calls.ts";
import {
  emptyLoopInfo,
  LOOP_CLR_FD,
  LOOP_GET_STATUS64,
  LOOP_MAJOR,
  type LoopStatus,
  loopStatus,
} from "./loop_info.ts";
import { mayHold, mountOf, readMountTable } from "./mount_table.ts";
import { hasCode, systemError } from "../system_error.ts";

/** What the driver says of an open loop device; undefined when nothing is attached to it. */
export function statusOf(ioctl: Ioctl, fd: number, node: string): LoopStatus | undefined {
  const info = emptyLoopInfo();
  try {
    ioctl(`LOOP_GET_STATUS64 ${node}`, fd, LOOP_GET_STATUS64, info);
  } catch (error) {
    if (hasCode(error, "ENXIO")) return undefined;
    throw error;
  }
  return loopStatus(info);
}

/** See `BlockDevices.detachLoop`. */
export async function detachLoop(
  ioctl: Ioctl,
  node: string,
  expected: LoopUse,
): Promise<LoopDetached> {
  if (!/^\/dev\/loop\d+$/.test(node)) {
    throw systemError("EINVAL", `${JSON.stringify(node)}: not the name of a loop device`);
  }
  const device = openIfThere(node);
  if (device === undefined) return "absent";
  try {
    // While it is open here, nobody can detach it and attach something else.
    const kind = compare(ioctl, device, node, expected);
    if (kind !== "same") return kind;
    ioctl(`LOOP_CLR_FD ${node}`, device, LOOP_CLR_FD);
  } catch (error) {
    if (hasCode(error, "ENXIO")) return "absent";
    throw error;
  } finally {
    // Newer kernels detach only here.
    closeFile(device);
  }
  return isAttached(node) && isSame(ioctl, node, expected) ? "pending" : "detached";
}

/** Whether an open loop device is the expected one. The number of its use alone tells that, where there is one. */
function compare(
  ioctl: Ioctl,
  device: number,
  node: string,
  { tag, file, diskseq }: LoopUse,
): "same" | "foreign" | "absent" {
  if (!isAttached(node)) return "absent";
  const present = diskSequence(ioctl, device, node);
  if (diskseq !== undefined && present !== undefined) {
    return diskseq === present ? "same" : "foreign";
  }
  const status = statusOf(ioctl, device, node);
  if (status === undefined) return "absent";
  return status.name === tag && status.file === file ? "same" : "foreign";
}

function isSame(ioctl: Ioctl, node: string, expected: LoopUse): boolean {
  const device = openIfThere(node);
  if (device === undefined) return false;
  try {
    return compare(ioctl, device, node, expected) === "same";
  } finally {
    closeFile(device);
  }
}

/** See `BlockDevices.loops`. */
export async function loops(
  ioctl: Ioctl,
  { file, tag, node }: LoopBounds,
): Promise<LoopDevice[]> {
  const found: LoopDevice[] = [];
  const mayCarry = file === undefined ? () => true : carriersOf(file);
  const names = node === undefined
    ? list("/sys/block")
    : node.startsWith("/dev/")
    ? [node.slice("/dev/".length)]
    : [];
  for (const name of names) {
    if (!/^loop\d+$/.test(name)) continue;
    const backing = backingFile(`/dev/${name}`);
    if (backing === undefined || node === undefined && !mayCarry(backing)) continue;
    const loop = lookAt(ioctl, `/dev/${name}`);
    if (loop === undefined || (file !== undefined && loop.file !== file)) continue;
    if (tag === undefined || loop.tag === tag) found.push(loop);
  }
  return found;
}

/**
 * Tells by their paths which files may be one, without asking who keeps them: those on other file systems
 * are not.
 */
function carriersOf(file: StorageIdentity): (path: string) => boolean {
  const device = BigInt(/^\d+/.exec(file)?.[0] ?? 0);
  const number = `${majorOf(device)}:${minorOf(device)}`;
  const mounts = readMountTable();
  return (path) => {
    const mount = mountOf(mounts, path.replace(/ \(deleted\)$/, ""));
    return mount === undefined || mayHold(mount, number);
  };
}

/** What a loop device carries, by sysfs; undefined when it carries nothing. */
function backingFile(node: string): string | undefined {
  try {
    return readText(`/sys/block/${node.slice("/dev/".length)}/loop/backing_file`).trimEnd();
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "ENXIO", "ENODEV")) return undefined;
    throw error;
  }
}

/** @throws SystemError where sysfs does not show the device, which is there: then it tells nothing */
function isAttached(node: string): boolean {
  if (backingFile(node) !== undefined) return true;
  if (exists(`/sys/block/${node.slice("/dev/".length)}`)) return false;
  throw systemError("EIO", `EIO: /sys does not show ${node}`);
}

/** An attached loop device, by name; undefined when it is not, or not any more. */
function lookAt(ioctl: Ioctl, node: string): LoopDevice | undefined {
  const device = openIfThere(node);
  if (device === undefined) return undefined;
  try {
    return look(ioctl, device, node);
  } finally {
    closeFile(device);
  }
}

/** What is attached to an open loop device, if anything. */
function look(ioctl: Ioctl, device: number, node: string): LoopDevice | undefined {
  const { rdev } = openStatus(device);
  const status = statusOf(ioctl, device, node);
  if (status === undefined) return undefined;
  const diskseq = diskSequence(ioctl, device, node);
  return {
    node,
    identity: `block ${rdev}`,
    major: LOOP_MAJOR,
    minor: minorOf(rdev),
    file: status.file,
    tag: status.name,
    readOnly: status.readOnly,
    ...(diskseq === undefined ? {} : { diskseq }),
  };
}

function openIfThere(node: string): number | undefined {
  try {
    return openLoop(node, O_RDONLY);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENXIO", "ENODEV")) return undefined;
    throw error;
  }
}

/** @throws SystemError `ENODEV` when it is something else */
export function openLoop(node: string, access: number): number {
  const device = openFile(node, access | O_NOFOLLOW | O_NONBLOCK);
  const status = openStatus(device);
  if (status.kind === "block" && majorOf(status.rdev) === LOOP_MAJOR) return device;
  closeFile(device);
  throw systemError("ENODEV", `${node}: not a loop device`);
}
