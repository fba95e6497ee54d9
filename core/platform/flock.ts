/** Advisory file locks (`flock(2)`), which the runtimes' own file functions lack. */
import * as fs from "node:fs";
import { loadLibc } from "./libc.ts";
import { isNameOf, openOwnFile, UnsafeFile } from "./own_file.ts";

/** A file that this process, and nobody else, has locked; the lock ends with the process. */
export interface LockedFile {
  /** Replaces the file's content. */
  write(text: string): void;
  /** Removes the file and gives the lock back. */
  remove(): void;
}

const LOCK_EX = 2;
const LOCK_NB = 4;

/** Longest content of a lock file, in bytes. */
const CONTENT_MAX = 256;

/** What a lock file holds: nothing, or a line that begins with a process id. */
const CONTENT = /^(\d+( [^\n]*)?\n?)?$/;

/**
 * Creates a file and locks it; null when somebody else holds the lock. Needs Bun's foreign function
 * interface.
 * @throws UnsafeFile when there is something that no earlier lock has left; SystemError
 */
export async function lockFile(path: string, mode: number): Promise<LockedFile | null> {
  const tryLock = await loadTryLock();
  for (;;) {
    const fd = openOwnFile(path, fs.constants.O_RDWR | fs.constants.O_CREAT, mode);
    if (!tryLock(fd)) {
      fs.closeSync(fd);
      return null;
    }
    // A holder removes the file before it unlocks: the lock must be on the file that has the name.
    if (isNameOf(path, fd)) {
      if (holdsLock(fd)) return locked(fd, path);
      fs.closeSync(fd);
      throw new UnsafeFile(`${path} holds something else than a process id`);
    }
    fs.closeSync(fd);
  }
}

/**
 * Loads what locks an open file without waiting; it returns false when somebody else holds the lock.
 * The lock ends when nobody has the file open any more that was opened then.
 */
export async function loadTryLock(): Promise<(fd: number) => boolean> {
  const { flock } = await loadLibc("lock files");
  return (fd) => flock(fd, LOCK_EX | LOCK_NB) === 0;
}

/** Whether a lock has left this, so that it may be replaced. */
function holdsLock(fd: number): boolean {
  const buffer = new Uint8Array(CONTENT_MAX + 1);
  const length = fs.readSync(fd, buffer, 0, buffer.length, 0);
  return length <= CONTENT_MAX &&
    CONTENT.test(new TextDecoder().decode(buffer.subarray(0, length)));
}

function locked(fd: number, path: string): LockedFile {
  return {
    write(text) {
      fs.ftruncateSync(fd, 0);
      fs.writeSync(fd, text, 0);
    },
    remove() {
      // Somebody else's file may have the name by now.
      if (isNameOf(path, fd)) fs.rmSync(path, { force: true });
      fs.closeSync(fd);
    },
  };
}
