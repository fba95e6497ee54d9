/** The file that a daemon's standard output and error go to: it is kept, and changed, while it runs. */
import { tryLock } from "./flock.ts";
import {
  closeFile,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_WRONLY,
  rename,
  statusIfThere,
} from "./file_calls.ts";
import { sys } from "../kernel.ts";
import { isNameOf, openOwnFile } from "./own_file.ts";
import { hasCode, must } from "../system_error.ts";

/** Old log files that are kept: `.1` is the newest (tools/libs/light/libxl_utils.c). */
const KEPT = 10;

const MODE = 0o644;

const STDOUT = 1;
const STDERR = 2;

/** Somebody else has this file open as its log. */
export class LogInUse extends Error {
  override name = "LogInUse";
}

/** A log file. It is locked while it is this process's. */
export class LogFile {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Begins a new log; the last ten are kept beside it as `.1` … `.10`. From then on it is the
   * standard output and error.
   * @throws LogInUse, UnsafeFile when it is not this user's own regular file; SystemError
   */
  static begin(path: string): LogFile {
    const file = new LogFile(path);
    file.#begin();
    return file;
  }

  #begin(): void {
    for (;;) {
      const old = this.#openLocked(O_WRONLY | O_APPEND);
      try {
        if (old !== null) rotate(this.path);
        this.#take(O_CREAT | O_EXCL);
        return;
      } catch (error) {
        // Another daemon was quicker, and has it now.
        if (!hasCode(error, "EEXIST")) throw error;
      } finally {
        if (old !== null) closeFile(old);
      }
    }
  }

  /**
   * Goes on with the file that has the name now, or makes one; after a log was moved away.
   * @throws as `begin`; then the old file goes on
   */
  reopen(): void {
    if (!isNameOf(this.path, STDERR)) this.#take(O_CREAT);
  }

  #take(flags: number): void {
    const fd = this.#openLocked(O_WRONLY | O_APPEND | flags)!;
    try {
      for (const stream of [STDOUT, STDERR]) {
        must(() => sys.dup2(fd, stream), "the output cannot be directed to it");
      }
    } finally {
      closeFile(fd);
    }
  }

  /** null when there is none, and none is to be made. */
  #openLocked(flags: number): number | null {
    for (;;) {
      let fd: number;
      try {
        fd = openOwnFile(this.path, flags, MODE);
      } catch (error) {
        if (hasCode(error, "ENOENT") && (flags & O_CREAT) === 0) return null;
        throw error;
      }
      let isOurs = false;
      try {
        const isLocked = tryLock(fd);
        // It may have been moved away in between.
        if (!isNameOf(this.path, fd)) continue;
        isOurs = isLocked;
        if (isOurs) return fd;
      } finally {
        if (!isOurs) closeFile(fd);
      }
      throw new LogInUse("another daemon writes to it");
    }
  }
}

/** Makes room for a new file. @throws SystemError */
function rotate(path: string): void {
  for (let number = KEPT - 1; number >= 0; number--) {
    const from = number === 0 ? path : `${path}.${number}`;
    if (statusIfThere(from) === undefined) continue;
    rename(from, `${path}.${number + 1}`);
  }
}
