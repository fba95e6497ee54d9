/** The end of a log file that other programs write to. */
import {
  closeFile,
  linkStatusOf,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  openFile,
  openStatus,
  readOpenAt,
} from "./file_calls.ts";

/** How far a file reached at some time; null: there was none that could be read. */
export type LogMark = { readonly dev: bigint; readonly ino: bigint; readonly size: number } | null;

/** Looking at the ends of log files. */
export interface LogTails {
  /** Where a file ends now. */
  mark(path: string): LogMark;
  /**
   * What has been added since, its last bytes if it is much; null when there is nothing, or when it
   * is no regular file or is behind a link.
   */
  since(path: string, mark: LogMark): string | null;
}

/** How much is read at most, in bytes. */
export const TAIL_MAX = 8 * 1024;

/** The machine's. */
export const systemLogTails: LogTails = {
  mark(path) {
    try {
      const { kind, dev, ino, size } = linkStatusOf(path);
      return kind === "file" ? { dev, ino, size } : null;
    } catch {
      return null;
    }
  },
  since(path, mark) {
    let fd = -1;
    try {
      // Without O_NONBLOCK a pipe of that name would be waited for before it can be refused.
      fd = openFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      const { kind, dev, ino, size } = openStatus(fd);
      if (kind !== "file") return null;
      // Rotated, or emptied: all of it is new.
      const same = mark !== null && mark.dev === dev && mark.ino === ino && mark.size <= size;
      const begin = same ? mark.size : 0;
      const from = Math.max(begin, size - TAIL_MAX);
      const text = new TextDecoder().decode(readOpenAt(fd, from, size - from));
      if (text === "") return null;
      // Of a line that was cut, the rest is none.
      return from > begin ? text.slice(text.indexOf("\n") + 1) : text;
    } catch {
      return null;
    } finally {
      if (fd >= 0) closeFile(fd);
    }
  },
};
