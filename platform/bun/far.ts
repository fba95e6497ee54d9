/** Calls that may have to ask storage, in the runtime's pool of threads. */
import * as fs from "node:fs/promises";
import { open } from "node:fs";
import { promisify } from "node:util";
import type { Far } from "../storage/far.ts";
import { KINDS } from "../io/file_calls.ts";
import { checkNothingMounted } from "../linux/mount_table.ts";
import { hasCode } from "../system_error.ts";
import type { FileStatus } from "../types.ts";

interface Stats {
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly size: bigint;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly rdev: bigint;
  readonly mtimeMs: bigint;
}

function status(stats: Stats): FileStatus {
  const mode = Number(stats.mode);
  return {
    kind: KINDS[mode & 0o170000] ?? "other",
    mode: mode & 0o7777,
    links: Number(stats.nlink),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: Number(stats.size),
    dev: stats.dev,
    ino: stats.ino,
    rdev: stats.rdev,
    mtimeMs: Number(stats.mtimeMs),
  };
}

/** See {@link Far}. */
export const far: Far = {
  blocks: null,
  open: promisify(open),
  files: {
    stat: async (path) => status(await fs.stat(path, { bigint: true })),
    lstat: async (path) => status(await fs.lstat(path, { bigint: true })),
    realPath: (path) => fs.realpath(path),
    readLink: (path) => fs.readlink(path),
    readText: (path) => fs.readFile(path, "utf8"),
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
    list: (path) => fs.readdir(path),
    rename: (from, to) => fs.rename(from, to),
    async remove(path) {
      try {
        if ((await fs.lstat(path)).isDirectory()) checkNothingMounted(path);
      } catch (error) {
        if (hasCode(error, "ENOENT", "ENOTDIR")) return;
        throw error;
      }
      await fs.rm(path, { recursive: true, force: true });
    },
  },
};
