/** Calls that may have to ask storage, in the runtime's pool of threads. */
import * as fs from "node:fs/promises";
import { open } from "node:fs";
import { promisify } from "node:util";
import type { Far } from "../storage/far.ts";
import { checkCount, checkRegular, KINDS, O_NONBLOCK } from "../io/file_calls.ts";
import { checkNothingMounted } from "../linux/mount_table.ts";
import { hasCode, systemError } from "../system_error.ts";
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

/** As `readRegular` of `file_calls.ts`. */
async function readRegular(path: string, max: number): Promise<string> {
  checkRegular(status(await fs.stat(path, { bigint: true })), path);
  const file = await fs.open(path, O_NONBLOCK);
  try {
    checkRegular(status(await file.stat({ bigint: true })), path);
    const bytes = new Uint8Array(max + 1);
    for (let length = 0;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, null);
      length += bytesRead;
      if (length > max) throw systemError("EFBIG", `EFBIG: more than ${max} bytes (${path})`);
      if (bytesRead === 0) {
        return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, length));
      }
    }
  } finally {
    await file.close();
  }
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
    readText: (path, max) => max === undefined ? fs.readFile(path, "utf8") : readRegular(path, max),
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
    async list(path, most = Number.MAX_SAFE_INTEGER) {
      const names = await fs.readdir(path);
      checkCount(names, most, path);
      return names;
    },
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
