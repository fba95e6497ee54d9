/** Opening files that this program keeps, whatever others have put in their place. */
import {
  closeFile,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDWR,
  O_WRONLY,
  openFile,
  openStatus,
  statusIfThere,
} from "./file_calls.ts";
import { sys } from "../kernel.ts";
import type { FileStatus } from "../types.ts";

/** A file, or the directory that it is in, is not what this program may write to. */
export class UnsafeFile extends Error {
  override name = "UnsafeFile";
}

/** Bits of a mode by which others than the owner may write. */
const OTHERS_WRITE = 0o022;

/**
 * Opens a regular file that belongs to this user and that nobody else may write; if it is to be
 * written, one that has no other name. No symbolic link is followed, and nothing else is opened: a pipe would be waited for, and some
 * devices do something when they are opened.
 * @param flags as of open(2); with O_CREAT the file is made when there is none
 * @throws UnsafeFile when something else has the name; SystemError
 */
export function openOwnFile(path: string, flags: number, mode = 0o600): number {
  const there = statusIfThere(path);
  const written = (flags & (O_WRONLY | O_RDWR)) !== 0;
  if (there !== undefined) checkOwnFile(path, there, written);
  const fd = openFile(path, flags | O_NOFOLLOW | O_NONBLOCK, mode);
  try {
    // It may be another one by now.
    checkOwnFile(path, openStatus(fd), written);
    return fd;
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}

/** @throws UnsafeFile unless it is this user's alone */
function checkOwnFile(path: string, status: FileStatus, written: boolean): void {
  const self = sys.geteuid();
  if (status.kind === "symlink") {
    throw new UnsafeFile(`${path} is a symbolic link; expected a regular file`);
  }
  if (status.kind !== "file") throw new UnsafeFile(`${path} is no regular file`);
  if (status.uid !== self) {
    throw new UnsafeFile(`${path} belongs to user ${status.uid}; expected ${self}`);
  }
  if ((status.mode & OTHERS_WRITE) !== 0) {
    const mode = (status.mode & 0o777).toString(8);
    throw new UnsafeFile(`${path} has mode ${mode}; expected no one else to write it`);
  }
  // None at all: it was removed a moment ago.
  if (written && status.links > 1) {
    throw new UnsafeFile(`${path} has ${status.links} names (hard links); expected one`);
  }
}

/**
 * Whether a path, not followed if it is a link, is the name of an open file.
 * @throws SystemError when that cannot be told
 */
export function isNameOf(path: string, fd: number): boolean {
  const [mine, named] = [openStatus(fd), statusIfThere(path)];
  return named !== undefined && mine.ino === named.ino && mine.dev === named.dev;
}
