/** Files that only grow, for the journal. */
import {
  closeFile,
  link,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  O_WRONLY,
  openFile,
  readOpen,
  removeAll,
  rename,
  writeOpen,
} from "./file_calls.ts";
import { sys } from "../kernel.ts";
import { openOwnFile, UnsafeFile } from "./own_file.ts";
import { must, systemError } from "../system_error.ts";

export interface AppendFile {
  readonly size: number;
  /**
   * Appends all of it before it returns, or nothing: what was written of it before an error (a full
   * file system, say) is cut off again. If even that fails, nothing more is appended until it has
   * succeeded. Synchronous on purpose: what it announces may begin with the next statement.
   * @throws SystemError; EBADF after `close`
   */
  append(bytes: Uint8Array): void;
  /** Calling it twice is harmless. */
  close(): void;
}

export interface AppendFiles {
  /**
   * Reads a whole file, which must be a regular one, ours, and not writable by others.
   * @throws SystemError (ENOENT when there is none), UnsafeFile when it is not what it must be
   */
  read(path: string): Uint8Array;
  /**
   * Puts a new file with this content in the place of `path`, at once as far as anybody can see,
   * and opens it.
   * @throws SystemError
   */
  replace(path: string, content: Uint8Array): AppendFile;
  /**
   * Gives a file one more name, in place of the file that has it; it can then be replaced and still
   * be found. Needs a file system with hard links.
   * @throws SystemError
   */
  keep(path: string, as: string): void;
}

/** The machine's files. */
export const systemAppendFiles: AppendFiles = {
  read(path) {
    let fd: number;
    try {
      fd = openOwnFile(path, O_RDONLY);
    } catch (error) {
      throw error instanceof UnsafeFile ? new UnsafeFile(`${error.message}: remove it`) : error;
    }
    try {
      return readOpen(fd);
    } finally {
      closeFile(fd);
    }
  },
  replace(path, content) {
    const temporary = `${path}.new`;
    removeAll(temporary);
    const fd = openFile(
      temporary,
      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_APPEND,
      0o600,
    );
    try {
      writeOpen(fd, content);
      rename(temporary, path);
    } catch (error) {
      closeFile(fd);
      removeAll(temporary);
      throw error;
    }
    return new OpenFile(fd, content.length);
  },
  keep(path, as) {
    removeAll(as);
    link(path, as);
  },
};

class OpenFile implements AppendFile {
  readonly #fd: number;
  #size: number;
  /** Whether there may be part of a record behind `#size`. */
  #ragged = false;
  #closed = false;

  constructor(fd: number, size: number) {
    this.#fd = fd;
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  append(bytes: Uint8Array): void {
    // The number may be another file's by now.
    if (this.#closed) throw systemError("EBADF", "EBADF: it is closed");
    if (this.#ragged) this.#cut();
    try {
      writeOpen(this.#fd, bytes);
      this.#size += bytes.length;
    } catch (error) {
      this.#ragged = true;
      try {
        this.#cut();
      } catch {
        // The first error tells more; the next call tries again.
      }
      throw error;
    }
  }

  #cut(): void {
    must(() => sys.ftruncate(this.#fd, this.#size), "truncate");
    this.#ragged = false;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFile(this.#fd);
  }
}
