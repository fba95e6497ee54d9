/** The machine's block devices, by Bun's foreign function interface: no child process is started. */
import * as fs from "node:fs/promises";
import {
  accessSync,
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  open as fsOpen,
  readlinkSync,
} from "node:fs";
import { promisify } from "node:util";
import type { BlockDevices, StorageTarget } from "../../plugins/contract_block.ts";
import { diskSequence, isReadOnly, sizeOf } from "./block_queries.ts";
import { majorOf, minorOf } from "./device_numbers.ts";
import { type Ioctl, loadIoctl } from "./ioctl.ts";
import { attachLoop } from "./loop_attach.ts";
import { detachLoop, loops, statusOf } from "./loop_devices.ts";
import { LOOP_MAJOR } from "./loop_info.ts";
import { systemError } from "./system_error.ts";

/**
 * The machine's block devices.
 * @throws Error when there is no foreign function interface: then only scripts can do the work
 */
export async function openBlockDevices(): Promise<BlockDevices> {
  const ioctl = await loadIoctl();
  return {
    describe: (path) => describe(ioctl, path),
    attachLoop: (request) => attachLoop(ioctl, request),
    detachLoop: (node, expected) => detachLoop(ioctl, node, expected),
    loops: (bounds) => loops(ioctl, bounds),
  };
}

/** The machine's block devices, got at when they are first used; likewise. */
export const systemBlockDevices: BlockDevices = {
  describe: async (path) => await (await opened()).describe(path),
  attachLoop: async (request) => await (await opened()).attachLoop(request),
  detachLoop: async (node, expected) => await (await opened()).detachLoop(node, expected),
  loops: async (bounds) => await (await opened()).loops(bounds),
};

let open: Promise<BlockDevices> | null = null;

function opened(): Promise<BlockDevices> {
  return open ??= openBlockDevices();
}

async function describe(ioctl: Ioctl, given: string): Promise<StorageTarget> {
  if (given.includes("\0")) {
    throw systemError("EINVAL", `${JSON.stringify(given)}: a path has no NUL in it`);
  }
  const { path, status, mayWrite } = await locate(given);
  if (status.isBlockDevice()) return await describeBlock(ioctl, path, status);
  const identity = `${status.dev}:${status.ino}`;
  const kind = status.isFile() ? "file" : status.isDirectory() ? "directory" : "other";
  if (kind !== "file") return { path, kind, identity, size: 0, readOnly: true };
  const size = Number(status.size);
  const readOnly = !mayWrite || (status.mode & 0o222n) === 0n;
  return { path, kind, identity, size, readOnly };
}

/** Linux, fcntl.h: finds a file without opening it, so that no device is disturbed. */
const O_PATH = 0o10000000;

const openPath = promisify(fsOpen);

/**
 * Where a path leads. Finding it may take long (a network, a slow disk) and waits in a thread; what
 * is asked of the found file then is in the kernel's memory.
 */
async function locate(
  given: string,
): Promise<{ path: string; status: BigIntStats; mayWrite: boolean }> {
  const fd = await openPath(given, O_PATH);
  try {
    const status = fstatSync(fd, { bigint: true });
    const link = `/proc/self/fd/${fd}`;
    const path = readlinkSync(link);
    // Deleted just now; or it has such a name, and then it is there under it.
    if (path.endsWith(" (deleted)")) {
      const { dev, ino } = await fs.lstat(path, { bigint: true });
      if (dev !== status.dev || ino !== status.ino) throw systemError("ENOENT", `${given}: gone`);
    }
    return { path, status, mayWrite: status.isFile() && isWritable(link) };
  } finally {
    closeSync(fd);
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

async function describeBlock(
  ioctl: Ioctl,
  path: string,
  status: BigIntStats,
): Promise<StorageTarget> {
  const { rdev } = status;
  // Non-blocking, for drives without a medium.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const device = await fs.open(path, flags);
  try {
    const opened = await device.stat({ bigint: true });
    if (!opened.isBlockDevice() || opened.rdev !== rdev) {
      throw systemError("ESTALE", `${path}: replaced by another device meanwhile`);
    }
    const major = majorOf(rdev);
    const diskseq = diskSequence(ioctl, device.fd, path);
    const loop = major === LOOP_MAJOR ? statusOf(ioctl, device.fd, path) : undefined;
    return {
      path,
      kind: "block",
      identity: `block ${rdev}`,
      size: sizeOf(ioctl, device.fd, path),
      readOnly: isReadOnly(ioctl, device.fd, path),
      major,
      minor: minorOf(rdev),
      ...(diskseq === undefined ? {} : { diskseq }),
      ...(loop?.isWhole ? { carries: loop.file } : {}),
    };
  } finally {
    await device.close();
  }
}
