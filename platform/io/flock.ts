/** Advisory file locks (`flock(2)`). */
import { closeFile, O_CREAT, O_RDWR, readOpenAt, unlink } from "./file_calls.ts";
import { sys } from "../kernel.ts";
import { isNameOf, openOwnFile, UnsafeFile } from "./own_file.ts";
import { hasCode, must } from "../system_error.ts";

/** A file that this process, and nobody else, has locked; the lock ends with the process. */
export interface LockedFile {
  /** Replaces the file's content. */
  write(text: string): void;
  /** Gives the lock back, and removes the file if it can: one that stays is no lock. */
  remove(): void;
}

const LOCK_EX = 2;
const LOCK_NB = 4;

/** Longest content of a lock file, in bytes. */
const CONTENT_MAX = 256;

/** What a lock file holds: nothing, or a line that begins with a process id. */
const CONTENT = /^(\d+( [^\n]*)?\n?)?$/;

/**
 * Creates a file and locks it; null when somebody else holds the lock.
 * @throws UnsafeFile when there is something that no earlier lock has left; SystemError
 */
export async function lockFile(path: string, mode: number): Promise<LockedFile | null> {
  for (;;) {
    const fd = openOwnFile(path, O_RDWR | O_CREAT, mode);
    let isOurs = false;
    try {
      if (!tryLock(fd)) return null;
      // A holder removes the file before it unlocks: the lock must be on the file that has the name.
      if (!isNameOf(path, fd)) continue;
      isOurs = holdsLock(fd);
      if (isOurs) return locked(fd, path);
    } finally {
      if (!isOurs) closeFile(fd);
    }
    throw new UnsafeFile(`${path} holds something else than a process id`);
  }
}

/**
 * Locks an open file without waiting; false when somebody else holds the lock. It ends when nobody has
 * the file open any more that was opened then.
 * @throws SystemError when it cannot be locked, whoever holds it (ENOLCK)
 */
export function tryLock(fd: number): boolean {
  try {
    must(() => sys.flock(fd, LOCK_EX | LOCK_NB), `lock of ${fd}`);
    return true;
  } catch (error) {
    if (hasCode(error, "EAGAIN")) return false;
    throw error;
  }
}

/** Whether a lock has left this, so that it may be replaced. */
function holdsLock(fd: number): boolean {
  const content = readOpenAt(fd, 0, CONTENT_MAX + 1);
  return content.length <= CONTENT_MAX && CONTENT.test(new TextDecoder().decode(content));
}

function locked(fd: number, path: string): LockedFile {
  return {
    write(text) {
      const bytes = new TextEncoder().encode(text);
      must(() => sys.ftruncate(fd, 0), `truncate ${path}`);
      must(() => sys.pwrite(fd, bytes, 0), `write ${path}`);
    },
    remove() {
      try {
        // Somebody else's file may have the name by now.
        if (isNameOf(path, fd)) unlink(path);
      } catch {
        // On a file system that is read-only by now, say: the next one to lock takes it over.
      } finally {
        closeFile(fd);
      }
    },
  };
}
