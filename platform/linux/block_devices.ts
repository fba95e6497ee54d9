/** The machine's block devices, by system calls: no program is started. */
import type { BlockDevices, StorageTarget } from "../../contract/v1/block.ts";
import { diskSequence, isReadOnly, sizeOf } from "./block_queries.ts";
import { majorOf, minorOf } from "./device_numbers.ts";
import {
  closeFile,
  linkStatusOf,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  openFile,
  openStatus,
  pathBytes,
  readLink,
} from "../io/file_calls.ts";
import { type Ioctl, systemIoctl } from "./ioctl.ts";
import { attachLoop } from "./loop_attach.ts";
import { detachLoop, loops, statusOf } from "./loop_devices.ts";
import { LOOP_MAJOR } from "./loop_info.ts";
import { sys } from "../kernel.ts";
import { systemError } from "../system_error.ts";
import type { FileStatus } from "../types.ts";

/**
 * The machine's block devices; each call is made by this process, which may have to wait for ever: the
 * daemon has a storage helper make them (`platform/storage.ts`).
 */
export function openBlockDevices(ioctl: Ioctl = systemIoctl): BlockDevices {
  return {
    describe: async (path) => await describe(ioctl, path),
    attachLoop: (request) => attachLoop(ioctl, request),
    detachLoop: (node, expected) => detachLoop(ioctl, node, expected),
    loops: (bounds) => loops(ioctl, bounds),
  };
}

function describe(ioctl: Ioctl, given: string): StorageTarget {
  if (given.includes("\0")) {
    throw systemError("EINVAL", `${JSON.stringify(given)}: a path has no NUL in it`);
  }
  const { path, status, mayWrite } = locate(given);
  if (status.kind === "block") return describeBlock(ioctl, path, status);
  const identity = `${status.dev}:${status.ino}`;
  const kind = status.kind === "file" || status.kind === "directory" ? status.kind : "other";
  if (kind !== "file") return { path, kind, identity, size: 0, readOnly: true };
  const readOnly = !mayWrite || (status.mode & 0o222) === 0;
  return { path, kind, identity, size: status.size, readOnly };
}

/** Linux, fcntl.h: finds a file without opening it, so that no device is disturbed. */
const O_PATH = 0o10000000;

function locate(given: string): { path: string; status: FileStatus; mayWrite: boolean } {
  const fd = openFile(given, O_PATH);
  try {
    const status = openStatus(fd);
    const link = `/proc/self/fd/${fd}`;
    const path = readLink(link);
    // Deleted just now; or it has such a name, and then it is there under it.
    if (path.endsWith(" (deleted)")) {
      const { dev, ino } = linkStatusOf(path);
      if (dev !== status.dev || ino !== status.ino) throw systemError("ENOENT", `${given}: gone`);
    }
    return { path, status, mayWrite: status.kind === "file" && isWritable(link) };
  } finally {
    closeFile(fd);
  }
}

// fcntl.h, unistd.h
const [AT_FDCWD, W_OK] = [-100, 2];

function isWritable(path: string): boolean {
  return sys.access(AT_FDCWD, pathBytes(path), W_OK) === 0;
}

function describeBlock(ioctl: Ioctl, path: string, status: FileStatus): StorageTarget {
  const { rdev } = status;
  // Non-blocking, for drives without a medium.
  const fd = openFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const opened = openStatus(fd);
    if (opened.kind !== "block" || opened.rdev !== rdev) {
      throw systemError("ESTALE", `${path}: replaced by another device meanwhile`);
    }
    const major = majorOf(rdev);
    const diskseq = diskSequence(ioctl, fd, path);
    const loop = major === LOOP_MAJOR ? statusOf(ioctl, fd, path) : undefined;
    return {
      path,
      kind: "block",
      identity: `block ${rdev}`,
      size: sizeOf(ioctl, fd, path),
      readOnly: isReadOnly(ioctl, fd, path),
      major,
      minor: minorOf(rdev),
      ...(diskseq === undefined ? {} : { diskseq }),
      ...(loop?.isWhole ? { carries: loop.file } : {}),
    };
  } finally {
    closeFile(fd);
  }
}
