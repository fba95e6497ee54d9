/** Advisory file locks (`flock(2)`), which the runtimes' own file functions lack. */
import * as fs from "node:fs";
import { loadLibc } from "./libc.ts";

/** A file that this process, and nobody else, has locked; the lock ends with the process. */
export interface LockedFile {
  /** Replaces the file's content. */
  write(text: string): void;
  /** Removes the file and gives the lock back. */
  remove(): void;
}

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Creates a file and locks it; null when somebody else holds the lock. Needs Bun's foreign function
 * interface.
 * @throws SystemError when the file cannot be opened
 */
export async function lockFile(path: string, mode: number): Promise<LockedFile | null> {
  const { flock } = await loadLibc("lock files");
  for (;;) {
    const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, mode);
    if (flock(fd, LOCK_EX | LOCK_NB) !== 0) {
      fs.closeSync(fd);
      return null;
    }
    // A holder removes the file before it unlocks: the lock must be on the file that has the name.
    if (sameFile(fd, path)) return locked(fd, path);
    fs.closeSync(fd);
  }
}

function sameFile(fd: number, path: string): boolean {
  try {
    const [mine, named] = [fs.fstatSync(fd), fs.statSync(path)];
    return mine.ino === named.ino && mine.dev === named.dev;
  } catch {
    return false;
  }
}

function locked(fd: number, path: string): LockedFile {
  return {
    write(text) {
      fs.ftruncateSync(fd, 0);
      fs.writeSync(fd, text, 0);
    },
    remove() {
      fs.rmSync(path, { force: true });
      fs.closeSync(fd);
    },
  };
}
