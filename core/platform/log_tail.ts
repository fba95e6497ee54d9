/** The end of a log file that other programs write to. */
import * as fs from "node:fs";
import * as fsp from "node:fs/promises";

/** How far a file reached at some time; null: there was none that could be read. */
export type LogMark = { readonly dev: number; readonly ino: number; readonly size: number } | null;

/** Looking at the ends of log files. */
export interface LogTails {
  /** Where a file ends now. */
  mark(path: string): LogMark;
  /**
   * What has been added since, its last bytes if it is much; null when there is nothing, or when it
   * is no regular file or is behind a link.
   */
  since(path: string, mark: LogMark): Promise<string | null>;
}

/** How much is read at most, in bytes. */
export const TAIL_MAX = 8 * 1024;

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;

/** The machine's. */
export const systemLogTails: LogTails = {
  mark(path) {
    try {
      const stats = fs.lstatSync(path);
      return stats.isFile() ? { dev: stats.dev, ino: stats.ino, size: stats.size } : null;
    } catch {
      return null;
    }
  },
  async since(path, mark) {
    // Without O_NONBLOCK a pipe of that name would be waited for before it can be refused.
    const file = await fsp.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => null);
    if (file === null) return null;
    try {
      const { dev, ino, size, isFile } = await file.stat().then((stats) => ({
        ...{ dev: stats.dev, ino: stats.ino, size: stats.size },
        isFile: stats.isFile(),
      }));
      if (!isFile) return null;
      // Rotated, or emptied: all of it is new.
      const same = mark !== null && mark.dev === dev && mark.ino === ino && mark.size <= size;
      const begin = same ? mark.size : 0;
      const from = Math.max(begin, size - TAIL_MAX);
      const buffer = new Uint8Array(size - from);
      const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
      const text = new TextDecoder().decode(buffer.subarray(0, bytesRead));
      if (text === "") return null;
      // Of a line that was cut, the rest is none.
      return from > begin ? text.slice(text.indexOf("\n") + 1) : text;
    } catch {
      return null;
    } finally {
      await file.close();
    }
  },
};
