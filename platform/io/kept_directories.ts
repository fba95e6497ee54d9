/**
 * Directories that are kept beyond a restart (contract/v1/kept.ts), with what a command needs besides. A
 * user's program may work in one: what is in it is opened without following links, and checked when it is
 * open.
 */
import type { KeptDirectories } from "../../contract/v1/kept.ts";
import { sys } from "../kernel.ts";
import { hasCode, must, systemError } from "../system_error.ts";
import * as calls from "./file_calls.ts";
import { tryLock } from "./flock.ts";
import { openOwnFile, UnsafeFile } from "./own_file.ts";
import { placeText } from "./place_files.ts";

/** Where all of them are. */
export const STATE_DIRECTORY = "/var/lib/xdevd";

/** The file with a directory's claim, and when that was made or ended. */
export const USE_FILE = ".use";

const NAME = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/;
const FILE = /^[A-Za-z0-9._-]{1,64}$/;
const FILES_MAX = 1024;
/** Largest number of a user: INT_MAX, since servers are given those below it, and none above. */
const ID_MAX = 0x7fff_ffff;
const TEXT_MAX = 64 * 1024;
const TAIL_MAX = 4096;
/** Tells one start of the machine from another (random(4)). */
const BOOT_ID = "/proc/sys/kernel/random/boot_id";

/** Who uses a directory, or was the last to do so. */
export interface Use {
  /** Such as `vtpm/7/0`; null when it was given back, or the machine was started anew. */
  readonly by: string | null;
  /** When it was taken, or given back. */
  readonly at: Date;
}

/** Those of one plugin. */
export class KeptStore {
  readonly #base: string;

  /** @param base absolute; made when it is first needed */
  constructor(base: string) {
    this.#base = base;
  }

  list(): string[] {
    try {
      return calls.list(this.#base, FILES_MAX).filter((name) => NAME.test(name));
    } catch (error) {
      if (hasCode(error, "ENOENT")) return [];
      throw error;
    }
  }

  /** @throws SystemError ENOTDIR for what is no directory */
  path(name: string): string | undefined {
    const path = this.#pathOf(name);
    const status = calls.statusIfThere(path);
    if (status === undefined) return undefined;
    if (status.kind === "directory") return path;
    throw systemError("ENOTDIR", `${path} is a ${status.kind}; expected a directory`);
  }

  files(name: string): string[] {
    return calls.list(this.#existing(name), FILES_MAX);
  }

  read(name: string, file: string): string | undefined {
    const bytes = this.readBytes(name, file, TEXT_MAX, true);
    return bytes && new TextDecoder().decode(bytes);
  }

  tail(name: string, file: string): string | undefined {
    const path = this.#fileOf(name, file);
    if (calls.statusIfThere(path) === undefined) return undefined;
    const fd = openAny(path);
    try {
      const { size } = calls.openStatus(fd);
      const from = Math.max(0, size - TAIL_MAX);
      return new TextDecoder().decode(calls.readOpenAt(fd, from, TAIL_MAX));
    } finally {
      calls.closeFile(fd);
    }
  }

  /**
   * A whole file; undefined when there is none.
   * @param isOwn whether only a file of ours counts; any regular one by default
   * @throws SystemError EPERM, EFBIG
   */
  readBytes(
    name: string,
    file: string,
    max: number,
    isOwn = false,
  ): Uint8Array<ArrayBuffer> | undefined {
    const path = this.#fileOf(name, file);
    if (calls.statusIfThere(path) === undefined) return undefined;
    const fd = isOwn ? openOwn(path) : openAny(path);
    try {
      return calls.readOpen(fd, max);
    } catch (error) {
      if (!hasCode(error, "EFBIG")) throw error;
      throw systemError("EFBIG", `${path} has more than ${max} bytes`);
    } finally {
      calls.closeFile(fd);
    }
  }

  write(name: string, file: string, content: string | Uint8Array): void {
    placeText(this.#fileOf(name, file), content, 0o600);
  }

  remove(name: string, file: string): void {
    const path = this.#fileOf(name, file);
    if (calls.statusIfThere(path) !== undefined) calls.unlink(path);
  }

  hand(name: string, user: string, files: readonly string[]): void {
    const ids = idsOf(user);
    const path = this.#existing(name);
    give(path, calls.O_DIRECTORY, ids);
    for (const file of files) {
      const each = this.#fileOf(name, file);
      if (calls.statusIfThere(each) !== undefined) give(each, 0, ids);
    }
  }

  claim(name: string, holder: string, instead?: string): string | undefined {
    return this.locked(name, () => {
      const { by } = this.use(name) ?? { by: null };
      if (by !== null && by !== holder && by !== instead) return by;
      this.#note(name, holder);
      return undefined;
    });
  }

  release(name: string, holder: string): void {
    if (this.path(name) !== undefined && this.use(name)?.by === holder) this.#note(name, null);
  }

  /** Undefined when it was never used. */
  use(name: string): Use | undefined {
    const text = this.read(name, USE_FILE) ?? "";
    const [, by, boot, at] = /^(\S{1,100}) (\S{1,100}) (\S{1,40})\n$/.exec(text) ?? [];
    const date = new Date(at ?? "");
    if (by === undefined || Number.isNaN(date.getTime())) return undefined;
    return { by: by === "-" || boot !== bootId() ? null : by, at: date };
  }

  /** Does something while nobody else claims the directory, or does likewise. @throws SystemError EBUSY */
  locked<T>(name: string, work: () => T): T {
    const path = this.#existing(name);
    const fd = calls.openFile(path, calls.O_RDONLY | calls.O_DIRECTORY | calls.O_NOFOLLOW);
    try {
      if (tryLock(fd)) return work();
      throw systemError("EBUSY", `a command works on ${path}`);
    } finally {
      calls.closeFile(fd);
    }
  }

  /** Makes and fills a new one: it is there whole, or not at all. @throws SystemError EEXIST */
  create(name: string, files: Readonly<Record<string, Uint8Array | string>>): void {
    const path = this.#pathOf(name);
    if (calls.statusIfThere(path) !== undefined) {
      throw systemError("EEXIST", `EEXIST: there is ${path} already`);
    }
    const temporary = `${this.#base}/.new-${name}`;
    calls.makeDirectories(this.#base, 0o711);
    calls.removeAll(temporary);
    calls.makeDirectory(temporary, 0o700);
    try {
      for (const [file, content] of Object.entries(files)) {
        checkFile(file);
        placeText(`${temporary}/${file}`, content, 0o600);
      }
      // An empty one of that name would be replaced.
      if (calls.statusIfThere(path) !== undefined) throw systemError("EEXIST", `EEXIST: ${path}`);
      calls.rename(temporary, path);
    } finally {
      calls.removeAll(temporary);
    }
  }

  /** Removes one with all that is in it. */
  destroy(name: string): void {
    calls.removeAll(this.#existing(name));
  }

  #note(name: string, by: string | null): void {
    this.write(name, USE_FILE, `${by ?? "-"} ${bootId()} ${new Date().toISOString()}\n`);
  }

  #pathOf(name: string): string {
    if (NAME.test(name)) return `${this.#base}/${name}`;
    throw systemError("EINVAL", `${JSON.stringify(name.slice(0, 80))} is no name of a directory`);
  }

  #existing(name: string): string {
    const path = this.path(name);
    if (path !== undefined) return path;
    throw systemError("ENOENT", `ENOENT: there is no ${this.#pathOf(name)}`);
  }

  #fileOf(name: string, file: string): string {
    checkFile(file);
    return `${this.#existing(name)}/${file}`;
  }
}

/** As a device's plugin has them. @param holder the device: `vtpm/7/0` */
export function keptOf(store: KeptStore, holder: string): KeptDirectories {
  return {
    list: async () => store.list(),
    create: async (name, files) => store.create(name, files),
    path: async (name) => store.path(name),
    files: async (name) => store.files(name),
    read: async (name, file) => store.read(name, file),
    tail: async (name, file) => store.tail(name, file),
    write: async (name, file, text) => store.write(name, file, text),
    remove: async (name, file) => store.remove(name, file),
    hand: async (name, user, files) => store.hand(name, user, files),
    claim: async (name, instead) => store.claim(name, holder, instead),
    release: async (name) => store.release(name, holder),
  };
}

function checkFile(file: string): void {
  if (FILE.test(file) && !/^\.\.?$/.test(file)) return;
  throw systemError("EINVAL", `${JSON.stringify(file.slice(0, 80))} is no name of a file`);
}

function openOwn(path: string): number {
  try {
    return openOwnFile(path, calls.O_RDONLY);
  } catch (error) {
    if (error instanceof UnsafeFile) throw systemError("EPERM", error.message);
    throw error;
  }
}

/** Opens a regular file of one name, whoever's it is. */
function openAny(path: string): number {
  const fd = calls.openFile(path, calls.O_RDONLY | calls.O_NOFOLLOW | calls.O_NONBLOCK);
  try {
    checkRegular(path, fd);
    return fd;
  } catch (error) {
    calls.closeFile(fd);
    throw error;
  }
}

function checkRegular(path: string, fd: number): void {
  const { kind, links } = calls.openStatus(fd);
  if (kind === "file" && links <= 1) return;
  throw systemError("EPERM", `${path} is no regular file of one name`);
}

/** Gives what it finds, and no other thing of that name. */
function give(path: string, flags: number, [uid, gid]: readonly [number, number]): void {
  const fd = flags === 0 ? openAny(path) : calls.openFile(path, flags | calls.O_NOFOLLOW);
  try {
    const status = calls.openStatus(fd);
    if (status.uid === uid && status.gid === gid) return;
    must(() => sys.fchown(fd, uid, gid), `chown ${path}`);
  } finally {
    calls.closeFile(fd);
  }
}

/** A user's number and its group's, by name or number. @throws SystemError ENOENT */
export function idsOf(user: string): [number, number] {
  if (/^\d{1,10}$/.test(user) && Number(user) <= ID_MAX) return [Number(user), Number(user)];
  for (const line of calls.readText("/etc/passwd", 1024 * 1024).split("\n")) {
    const [name, , uid = "", gid = ""] = line.split(":");
    if (name === user && /^\d+$/.test(uid) && /^\d+$/.test(gid)) return [Number(uid), Number(gid)];
  }
  throw systemError("ENOENT", `ENOENT: /etc/passwd has no user ${JSON.stringify(user)}`);
}

function bootId(): string {
  return calls.readText(BOOT_ID).trim();
}
