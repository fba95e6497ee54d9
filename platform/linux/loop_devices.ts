/** Loop devices that are attached: looking at them, finding them, and detaching. */
import type { LoopBounds, LoopDetached, LoopDevice, LoopUse } from "../../contract/v1/block.ts";
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
} from "../io/file_calls.ts";
import {
  emptyLoopInfo,
  LOOP_CLR_FD,
  LOOP_GET_STATUS64,
  LOOP_MAJOR,
  type LoopStatus,
  loopStatus,
} from "./loop_info.ts";
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
    const present = look(ioctl, device, node);
    if (present === undefined) return "absent";
    if (!isUse(present, expected)) return "foreign";
    ioctl(`LOOP_CLR_FD ${node}`, device, LOOP_CLR_FD);
  } catch (error) {
    if (hasCode(error, "ENXIO")) return "absent";
    throw error;
  } finally {
    // Newer kernels detach only here.
    closeFile(device);
  }
  const left = await lookAt(ioctl, node);
  return left !== undefined && isUse(left, expected) ? "pending" : "detached";
}

function isUse(loop: LoopDevice, { tag, file, diskseq }: LoopUse): boolean {
  if (loop.tag !== tag || loop.file !== file) return false;
  return diskseq === undefined || loop.diskseq === undefined || loop.diskseq === diskseq;
}

/** See `BlockDevices.loops`. */
export async function loops(
  ioctl: Ioctl,
  { file, tag, node }: LoopBounds,
): Promise<LoopDevice[]> {
  const found: LoopDevice[] = [];
  const names = node === undefined
    ? list("/sys/block")
    : node.startsWith("/dev/")
    ? [node.slice("/dev/".length)]
    : [];
  for (const name of names) {
    if (!/^loop\d+$/.test(name)) continue;
    const loop = await lookAt(ioctl, `/dev/${name}`);
    if (loop === undefined || (file !== undefined && loop.file !== file)) continue;
    if (tag === undefined || loop.tag === tag) found.push(loop);
  }
  return found;
}

/** An attached loop device, by name; undefined when it is not, or not any more. */
async function lookAt(ioctl: Ioctl, node: string): Promise<LoopDevice | undefined> {
  // Spares opening what is free: somebody else may be about to take it.
  const attached = `/sys/block/${node.slice("/dev/".length)}/loop/backing_file`;
  if (!exists(attached)) return undefined;
  const device = openIfThere(node);
  if (device === undefined) return undefined;
  try {
    return look(ioctl, device, node);
  } finally {
    closeFile(device);
  }
}

/** What is attached to an open loop device, if anything. */
export function look(ioctl: Ioctl, device: number, node: string): LoopDevice | undefined {
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
