/** Files on `node:fs`, which Bun and Deno share. */
import {
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";
import * as fs from "node:fs/promises";
import { mountsWithin } from "./mount_table.ts";
import { hasCode, systemError } from "./system_error.ts";
import type { Files, FileStatus } from "./types.ts";

interface NodeStats {
  readonly mode: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly size: bigint;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly rdev: bigint;
  readonly mtimeMs: bigint;
}

/** By the type in a mode: S_IFMT of linux/stat.h. */
const KINDS: Readonly<Record<number, FileStatus["kind"]>> = {
  0o140000: "socket",
  0o120000: "symlink",
  0o100000: "file",
  0o060000: "block",
  0o040000: "directory",
  0o020000: "character",
};

function status(stats: NodeStats): FileStatus {
  const mode = Number(stats.mode);
  return {
    kind: KINDS[mode & 0o170000] ?? "other",
    mode: mode & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: Number(stats.size),
    dev: stats.dev,
    ino: stats.ino,
    rdev: stats.rdev,
    mtimeMs: Number(stats.mtimeMs),
  };
}

/**
 * What the kernel answers from memory, and Xen's small files and the programs of the root's file
 * system. There a thread of its own costs many times the answer.
 */
function isNear(path: string): boolean {
  return /^\/(sys\/(block|bus|class|dev)|proc\/(self|partitions)|dev|etc\/xen|(usr\/)?s?bin)(\/|$)/
    .test(path);
}

/** The machine's files. */
export const systemFiles: Files = {
  stat: async (path) =>
    isNear(path)
      ? status(statSync(path, { bigint: true }))
      : status(await fs.stat(path, { bigint: true })),
  lstat: async (path) => status(await fs.lstat(path, { bigint: true })),
  realPath: async (path) => isNear(path) ? realpathSync.native(path) : await fs.realpath(path),
  readLink: (path) => fs.readlink(path),
  readText: async (path) =>
    isNear(path) ? readFileSync(path, "utf8") : await fs.readFile(path, "utf8"),
  async readAt(path, position, length) {
    const file = await fs.open(path, "r");
    try {
      const buffer = new Uint8Array(length);
      const { bytesRead } = await file.read(buffer, 0, length, position);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  },
  writeText: (path, text, mode = 0o644) => fs.writeFile(path, text, { mode }),
  async makeDirectory(path, mode = 0o755) {
    await fs.mkdir(path, { recursive: true, mode });
  },
  list: async (path) => isNear(path) ? readdirSync(path) : await fs.readdir(path),
  rename: (from, to) => fs.rename(from, to),
  remove,
};

/**
 * Removes a file, or a directory with all that is in it; what is not there is no error. Never what is
 * mounted there: that may be a guest's disk, or this machine's own files.
 * @throws SystemError `EBUSY` when something is mounted at it or below it; then nothing is removed
 */
async function remove(path: string): Promise<void> {
  let status: { isDirectory(): boolean };
  try {
    status = await fs.lstat(path);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return;
    throw error;
  }
  if (!status.isDirectory()) return await fs.rm(path, { force: true });
  const [mounted] = mountsWithin(path);
  if (mounted !== undefined) {
    throw systemError(
      "EBUSY",
      `${path} is not removed: ${mounted.type} ${mounted.source} is mounted at ${mounted.point}`,
    );
  }
  await fs.rm(path, { recursive: true, force: true });
}

/**
 * The same, but what is asked of names is answered at once, without a thread: for what lies where the
 * daemon itself does (scripts), never for what may lie on a server that does not answer (images).
 */
export const nearFiles: Files = {
  ...systemFiles,
  stat: async (path) => status(statSync(path, { bigint: true })),
  lstat: async (path) => status(lstatSync(path, { bigint: true })),
  realPath: async (path) => realpathSync.native(path),
  readLink: async (path) => readlinkSync(path),
};
