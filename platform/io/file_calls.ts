/**
 * What is asked of files, at once: for what is near (the kernel's own, the daemon's own). What may lie
 * on storage that does not answer is asked for by `storage`.
 *
 * All throw a {@link SystemError} that names the call and the path.
 */
import { sys } from "../kernel.ts";
import { hasCode, must, systemError } from "../system_error.ts";
import type { FileStatus } from "../types.ts";

// asm-generic/fcntl.h, linux/fcntl.h; O_DIRECTORY and O_NOFOLLOW have other numbers on ARM.
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
const isArm = sys.machine !== "x86_64";
export const O_DIRECTORY = isArm ? 0o40000 : 0o200000;
export const O_NOFOLLOW = isArm ? 0o100000 : 0o400000;

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;
/** linux/stat.h: all that stat(2) tells. */
const STATX_BASIC_STATS = 0x7ff;

const NOTHING = pathBytes("");

/** A path for the kernel. @throws SystemError (EINVAL) for one with a NUL in it */
export function pathBytes(path: string): Uint8Array {
  if (path.includes("\0")) throw systemError("EINVAL", `EINVAL: a NUL in ${JSON.stringify(path)}`);
  return new TextEncoder().encode(`${path}\0`);
}

/** Opens a file, close-on-exec. @param mode of one that is made, less the umask */
export function openFile(path: string, flags: number, mode = 0o666): number {
  const bytes = pathBytes(path);
  return must(() => sys.open(AT_FDCWD, bytes, flags | O_CLOEXEC, mode), `open ${path}`);
}

/** Errors are of no use to anybody: the descriptor is gone in any case. */
export function closeFile(fd: number): void {
  sys.close(fd);
}

/** struct statx of linux/stat.h */
const statx = new Uint8Array(256);
const view = new DataView(statx.buffer);

/** By the type in a mode: S_IFMT of linux/stat.h. */
export const KINDS: Readonly<Record<number, FileStatus["kind"]>> = {
  0o140000: "socket",
  0o120000: "symlink",
  0o100000: "file",
  0o060000: "block",
  0o040000: "directory",
  0o020000: "character",
};

/** linux/kdev_t.h as stat(2) shows it (sys/sysmacros.h, gnu_dev_makedev). */
function deviceNumber(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (high & 0xfffff000n) << 32n | (high & 0xfffn) << 8n | (low & 0xffffff00n) << 12n |
    low & 0xffn;
}

function status(): FileStatus {
  const mode = view.getUint16(28, true);
  const time = (at: number) =>
    Number(view.getBigInt64(at, true)) * 1000 + Math.floor(view.getUint32(at + 8, true) / 1e6);
  return {
    kind: KINDS[mode & 0o170000] ?? "other",
    mode: mode & 0o7777,
    links: view.getUint32(16, true),
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    ino: view.getBigUint64(32, true),
    size: Number(view.getBigUint64(40, true)),
    mtimeMs: time(112),
    rdev: deviceNumber(view.getUint32(128, true), view.getUint32(132, true)),
    dev: deviceNumber(view.getUint32(136, true), view.getUint32(140, true)),
  };
}

function statusBy(path: string, flags: number): FileStatus {
  const bytes = pathBytes(path);
  must(() => sys.stat(AT_FDCWD, bytes, flags, STATX_BASIC_STATS, statx), `stat ${path}`);
  return status();
}

/** Follows symbolic links. */
export function statusOf(path: string): FileStatus {
  return statusBy(path, 0);
}

/** Does not follow a symbolic link in the last component. */
export function linkStatusOf(path: string): FileStatus {
  return statusBy(path, AT_SYMLINK_NOFOLLOW);
}

/** The same, of what may not be there. */
export function statusIfThere(path: string): FileStatus | undefined {
  try {
    return linkStatusOf(path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Of an open descriptor. */
export function openStatus(fd: number): FileStatus {
  must(() => sys.stat(fd, NOTHING, AT_EMPTY_PATH, STATX_BASIC_STATS, statx), `stat of ${fd}`);
  return status();
}

/** Whether there is something of that name, or a link to something. "Could not look" is an error. */
export function exists(path: string): boolean {
  try {
    statusOf(path);
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

const CHUNK = 16 * 1024;

/** Reads a descriptor to its end. @throws SystemError, EFBIG beyond `max` bytes */
export function readOpen(fd: number, max = Number.MAX_SAFE_INTEGER): Uint8Array<ArrayBuffer> {
  let bytes = new Uint8Array(CHUNK);
  let length = 0;
  for (;;) {
    if (length === bytes.length) {
      const more = new Uint8Array(2 * bytes.length);
      more.set(bytes);
      bytes = more;
    }
    const room = bytes.subarray(length);
    const got = must(() => sys.read(fd, room), `read of ${fd}`);
    if (got === 0) return bytes.slice(0, length);
    length += got;
    if (length > max) throw systemError("EFBIG", `EFBIG: more than ${max} bytes`);
  }
}

/** What can be read now, waited for if need be: how many bytes; 0 at the end. @throws SystemError */
export function readOnce(fd: number, to: Uint8Array): number {
  return must(() => sys.read(fd, to), `read of ${fd}`);
}

/** A whole file. @param flags more of them @throws SystemError, EFBIG beyond `max` bytes */
export function readFile(path: string, max?: number, flags = 0): Uint8Array<ArrayBuffer> {
  const fd = openFile(path, O_RDONLY | flags);
  try {
    return readOpen(fd, max);
  } catch (error) {
    throw named(error, path);
  } finally {
    closeFile(fd);
  }
}

function named(error: unknown, path: string): Error {
  const { code, message } = error as { code?: string; message: string };
  if (code === undefined || message.includes(path)) return error as Error;
  return systemError(code, `${message} (${path})`);
}

/** The text of a file, which is taken for UTF-8. */
export function readText(path: string, max?: number): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(readFile(path, max));
}

/** The text of a regular file, without waiting; nothing else is opened. @throws SystemError, EFBIG, EINVAL */
export function readRegular(path: string, max: number): string {
  checkRegular(statusOf(path), path);
  const fd = openFile(path, O_RDONLY | O_NONBLOCK);
  try {
    // It may have been replaced in between.
    checkRegular(openStatus(fd), path);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(readOpen(fd, max));
  } catch (error) {
    throw named(error, path);
  } finally {
    closeFile(fd);
  }
}

/** @throws SystemError (EINVAL) for what is no regular file */
export function checkRegular({ kind }: Pick<FileStatus, "kind">, path: string): void {
  if (kind === "file") return;
  const what = kind === "other" ? "something else" : `a ${kind}`;
  throw systemError("EINVAL", `EINVAL: ${path} is ${what}; expected a regular file`);
}

/** @throws SystemError when some of it, or nothing, may have been written */
export function writeOpen(fd: number, bytes: Uint8Array): void {
  for (let left = bytes; left.length > 0;) {
    const now = left;
    const written = must(() => sys.write(fd, now), `write to ${fd}`);
    if (written === 0) throw systemError("EIO", "EIO: nothing was written");
    left = left.subarray(written);
  }
}

/** Reads `length` bytes at `position`; shorter at the end of the file. */
export function readAt(path: string, position: number, length: number): Uint8Array {
  const fd = openFile(path, O_RDONLY);
  try {
    return readOpenAt(fd, position, length);
  } finally {
    closeFile(fd);
  }
}

/** The same of a descriptor. */
export function readOpenAt(fd: number, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const room = bytes.subarray(done);
    const got = must(() => sys.pread(fd, room, position + done), `read of ${fd}`);
    if (got === 0) return bytes.subarray(0, done);
    done += got;
  }
  return bytes;
}

/** Makes a file, or replaces the content of the one that there is. @param flags more of them */
export function writeFile(path: string, text: string | Uint8Array, mode?: number, flags = 0): void {
  const fd = openFile(path, O_WRONLY | O_CREAT | O_TRUNC | flags, mode);
  try {
    writeOpen(fd, typeof text === "string" ? new TextEncoder().encode(text) : text);
  } catch (error) {
    throw named(error, path);
  } finally {
    closeFile(fd);
  }
}

/** struct linux_dirent64 of getdents(2) */
const RECORD_LENGTH = 16;
const NAME = 19;

/** @throws SystemError (EFBIG) */
export function checkCount(names: readonly unknown[], most: number, path: string): void {
  if (names.length > most) throw systemError("EFBIG", `EFBIG: more than ${most} names in ${path}`);
}

/**
 * Names in a directory, in no order, without `.` and `..`.
 * @throws SystemError, EFBIG for more than `most`
 */
export function list(path: string, most = Number.MAX_SAFE_INTEGER): string[] {
  const fd = openFile(path, O_RDONLY | O_DIRECTORY);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  try {
    return listOpen(fd, path, most).map((name) => decoder.decode(name.subarray(0, -1)));
  } finally {
    closeFile(fd);
  }
}

/** The same of a descriptor: each as the kernel has it, with its NUL. */
function listOpen(fd: number, path: string, most = Number.MAX_SAFE_INTEGER): Uint8Array[] {
  const names: Uint8Array[] = [];
  const records = new Uint8Array(2 * CHUNK);
  const lengths = new DataView(records.buffer);
  for (;;) {
    const size = must(() => sys.getdents(fd, records), `list ${path}`);
    checkCount(names, most, path);
    if (size === 0) return names;
    for (let at = 0; at < size; at += lengths.getUint16(at + RECORD_LENGTH, true)) {
      const name = records.slice(at + NAME, records.indexOf(0, at + NAME) + 1);
      if (!DOTS.has(String(name))) names.push(name);
    }
  }
}

/** `.` and `..` */
const DOTS: ReadonlySet<string> = new Set(["46,0", "46,46,0"]);

/** Makes a directory. @throws SystemError, EEXIST when there is something of that name */
export function makeDirectory(path: string, mode = 0o777): void {
  const bytes = pathBytes(path);
  must(() => sys.mkdir(AT_FDCWD, bytes, mode), `mkdir ${path}`);
}

/** Makes a directory and those above it, as far as they are missing. */
export function makeDirectories(path: string, mode = 0o777): void {
  try {
    return makeDirectory(path, mode);
  } catch (error) {
    if (hasCode(error, "EEXIST") && statusOf(path).kind === "directory") return;
    const above = path.replace(/\/+[^/]*\/*$/, "");
    if (!hasCode(error, "ENOENT") || above === "" || above === path) throw error;
    makeDirectories(above, mode);
  }
  try {
    makeDirectory(path, mode);
  } catch (error) {
    // Somebody else was faster.
    if (!hasCode(error, "EEXIST") || statusOf(path).kind !== "directory") throw error;
  }
}

/** Removes a file or link. @throws SystemError */
export function unlink(path: string): void {
  const bytes = pathBytes(path);
  must(() => sys.unlink(AT_FDCWD, bytes, 0), `unlink ${path}`);
}

/** Removes an empty directory. @throws SystemError */
export function removeDirectory(path: string): void {
  const bytes = pathBytes(path);
  must(() => sys.unlink(AT_FDCWD, bytes, AT_REMOVEDIR), `rmdir ${path}`);
}

/** linux/stat.h, STATX_ATTR_MOUNT_ROOT: Linux 5.8 and later. */
const MOUNT_ROOT = 0x2000n;

/**
 * Removes whatever is there, with all that is in it. Links are not followed, even where somebody exchanges
 * a directory for one meanwhile; what is mounted is somebody else's. Nothing is no error.
 * @throws SystemError, EBUSY for what something is mounted on; what came before it is gone
 */
export function removeAll(path: string): void {
  removeIn(AT_FDCWD, pathBytes(path), path);
}

/** @param name in directory `dir`, with its NUL @param path for people */
function removeIn(dir: number, name: Uint8Array, path: string): void {
  try {
    const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    must(() => sys.stat(dir, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, statx), `stat ${path}`);
    if (status().kind !== "directory") {
      return void must(() => sys.unlink(dir, name, 0), `unlink ${path}`);
    }
    const fd = must(() => sys.open(dir, name, flags, 0), `open ${path}`);
    try {
      openStatus(fd);
      if ((view.getBigUint64(8, true) & MOUNT_ROOT) !== 0n) {
        throw systemError("EBUSY", `EBUSY: something is mounted on ${path}`);
      }
      for (const each of listOpen(fd, path)) {
        removeIn(fd, each, `${path}/${new TextDecoder().decode(each.subarray(0, -1))}`);
      }
    } finally {
      closeFile(fd);
    }
    must(() => sys.unlink(dir, name, AT_REMOVEDIR), `rmdir ${path}`);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

/** rename(2) */
export function rename(from: string, to: string): void {
  const [old, name] = [pathBytes(from), pathBytes(to)];
  must(() => sys.rename(AT_FDCWD, old, AT_FDCWD, name), `rename ${from} to ${to}`);
}

/** link(2): one more name for a file. */
export function link(from: string, to: string): void {
  const [old, name] = [pathBytes(from), pathBytes(to)];
  must(() => sys.link(AT_FDCWD, old, AT_FDCWD, name), `link ${from} to ${to}`);
}

/** Makes a symbolic link at `path`. */
export function makeLink(target: string, path: string): void {
  const [text, name] = [pathBytes(target), pathBytes(path)];
  must(() => sys.symlink(text, AT_FDCWD, name), `symlink ${path}`);
}

/** Longest path, in bytes (linux/limits.h, PATH_MAX). */
const PATH_MAX = 4096;

/** What a symbolic link says. */
export function readLink(path: string): string {
  const [bytes, to] = [pathBytes(path), new Uint8Array(PATH_MAX)];
  const length = must(() => sys.readlink(AT_FDCWD, bytes, to), `readlink ${path}`);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(to.subarray(0, length));
}

/** How many links may follow one another, as in the kernel (linux/namei.h, MAXSYMLINKS). */
const LINKS_MAX = 40;

/** The canonical absolute path: no symbolic link, `.` or `..` left. */
export function realPath(path: string): string {
  let left = absolute(path).split("/");
  const real: string[] = [];
  for (let links = 0; left.length > 0;) {
    const [name = "", ...rest] = left;
    left = rest;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      real.pop();
      continue;
    }
    const here = `/${[...real, name].join("/")}`;
    const { kind } = linkStatusOf(here);
    if (kind !== "symlink") {
      if (kind !== "directory" && left.length > 0) {
        throw systemError("ENOTDIR", `ENOTDIR: realpath ${path}`);
      }
      real.push(name);
      continue;
    }
    if (++links > LINKS_MAX) throw systemError("ELOOP", `ELOOP: too many links: ${path}`);
    const target = readLink(here);
    if (target.startsWith("/")) real.length = 0;
    left = [...target.split("/"), ...left];
  }
  const result = `/${real.join("/")}`;
  return result;
}

/** A path seen from the root. */
export function absolute(path: string): string {
  return path.startsWith("/") ? path : `${currentDirectory()}/${path}`;
}

/** The current directory. */
export function currentDirectory(): string {
  const to = new Uint8Array(PATH_MAX);
  const length = must(() => sys.getcwd(to), "getcwd");
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(to.subarray(0, length - 1));
}
