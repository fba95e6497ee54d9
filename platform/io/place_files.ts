/** Putting files in their places: they have their names when they are whole. */
import * as calls from "./file_calls.ts";
import { sys } from "../kernel.ts";
import { program } from "../runtime.ts";
import { sha256OfFile } from "../checksum.ts";
import { hasCode, must } from "../system_error.ts";

/** A place in the file system that is, or is not, taken. */
export type Found =
  | { readonly kind: "nothing" | "directory" | "other" }
  | { readonly kind: "file"; readonly sha256: string }
  | { readonly kind: "link"; readonly target: string };

/** What is at a path; a link is not followed. @throws SystemError */
export async function lookAt(file: string): Promise<Found> {
  const kind = calls.statusIfThere(file)?.kind;
  if (kind === undefined) return { kind: "nothing" };
  if (kind === "symlink") return { kind: "link", target: calls.readLink(file) };
  if (kind === "directory") return { kind };
  return kind === "file" ? { kind, sha256: await sha256OfFile(file) } : { kind: "other" };
}

/** Where a path below `root` really is: the same, unless links on the way lead elsewhere. */
export function realPlace(root: string, file: string): string {
  let existing = joined(root, file);
  const missing: string[] = [];
  while (existing !== "/" && calls.statusIfThere(existing) === undefined) {
    missing.unshift(nameOf(existing));
    existing = directoryOf(existing);
  }
  // The last component itself is not followed.
  const names = missing.length === 0 ? [nameOf(existing)] : missing;
  const directory = missing.length === 0 ? directoryOf(existing) : existing;
  return joined(calls.realPath(directory), names.join("/"));
}

/** Two paths as one, without empty parts, `.` and `..`. */
function joined(first: string, second: string): string {
  const parts: string[] = [];
  for (const part of `${first}/${second}`.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function directoryOf(file: string): string {
  return file.slice(0, file.lastIndexOf("/")) || "/";
}

function nameOf(file: string): string {
  return file.slice(file.lastIndexOf("/") + 1);
}

/**
 * Makes a directory of this user's own for what is needed for a while, below `TMPDIR` or `/tmp`; nobody
 * can have made it before.
 * @param name the beginning of its name
 * @returns its path @throws SystemError
 */
export function makeTemporaryDirectory(name: string): string {
  const above = calls.absolute(program.environment["TMPDIR"] || "/tmp");
  for (;;) {
    const directory = `${above}/${name}${crypto.randomUUID().slice(0, 8)}`;
    try {
      calls.makeDirectory(directory, 0o700);
      return directory;
    } catch (error) {
      if (!hasCode(error, "EEXIST")) throw error;
    }
  }
}

/** Makes a directory and those above it; returns those that it made, the uppermost first. */
export function makeDirectories(directory: string): string[] {
  const made: string[] = [];
  for (let at = directory; !calls.exists(at); at = directoryOf(at)) made.unshift(at);
  for (const each of made) calls.makeDirectory(each, 0o755);
  return made;
}

/** Puts a file there, at once as far as anybody can see. @throws SystemError */
export function placeText(file: string, text: string | Uint8Array, mode: number): void {
  const content = typeof text === "string" ? new TextEncoder().encode(text) : text;
  place(file, (temporary) => filled(temporary, mode, (fd) => calls.writeOpen(fd, content)));
}

/**
 * Likewise, for a name that a person typed: only a regular file, or nothing, is replaced.
 * @throws Error that says what else is there; SystemError
 */
export function placeOutput(file: string, text: string, mode: number): void {
  const kind = calls.statusIfThere(file)?.kind ?? "file";
  if (kind !== "file") {
    throw new Error(`a ${OTHER_KINDS[kind]} is there; expected a regular file, or nothing yet`);
  }
  try {
    placeText(file, text, mode);
  } catch (error) {
    const directory = directoryOf(file);
    if (!hasCode(error, "ENOENT") || calls.statusIfThere(directory) !== undefined) throw error;
    throw new Error(`there is no directory ${directory}`);
  }
}

/** In words. */
const OTHER_KINDS = {
  directory: "directory",
  symlink: "symbolic link",
  socket: "socket",
  block: "block device",
  character: "character device",
  other: "pipe",
} as const;

/** Puts a copy there, likewise. @throws SystemError */
export function placeCopy(file: string, source: string, mode: number): void {
  place(file, (temporary) => filled(temporary, mode, (fd) => copy(source, fd)));
}

/** Puts a link there, likewise. @throws SystemError */
export function placeLink(file: string, target: string): void {
  place(file, (temporary) => calls.makeLink(target, temporary));
}

/**
 * Puts there what something else makes, likewise. When that fails, what was there stays.
 * @param make makes the file, under the same name in a directory beside the place, and sets its mode
 * @throws SystemError; what `make` throws
 */
export async function placeMade(
  file: string,
  make: (temporary: string) => Promise<void> | void,
): Promise<void> {
  const directory = `${file}${NEW}`;
  const temporary = `${directory}/${nameOf(file)}`;
  calls.removeAll(directory);
  calls.makeDirectories(directory);
  try {
    await make(temporary);
    calls.rename(temporary, file);
  } finally {
    calls.removeAll(directory);
  }
}

/** Ends the name of what is not whole yet. */
const NEW = ".xdevd-new";

function place(file: string, make: (temporary: string) => void): void {
  const temporary = `${file}${NEW}`;
  // Nothing deep: the directory may be somebody else's, who would have a tree without end there.
  removeFile(temporary);
  try {
    make(temporary);
    calls.rename(temporary, file);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
}

function filled(file: string, mode: number, fill: (fd: number) => void): void {
  const fd = calls.openFile(file, calls.O_WRONLY | calls.O_CREAT | calls.O_EXCL, mode);
  try {
    fill(fd);
    // Whatever the umask.
    must(() => sys.fchmod(fd, mode), `chmod ${file}`);
  } finally {
    calls.closeFile(fd);
  }
}

function copy(source: string, to: number): void {
  const from = calls.openFile(source, calls.O_RDONLY);
  try {
    const buffer = new Uint8Array(1024 * 1024);
    for (;;) {
      const length = must(() => sys.read(from, buffer), `read ${source}`);
      if (length === 0) return;
      calls.writeOpen(to, buffer.subarray(0, length));
    }
  } finally {
    calls.closeFile(from);
  }
}

/** Removes a file or link. @throws SystemError */
export function removeFile(file: string): void {
  if (calls.statusIfThere(file) !== undefined) calls.unlink(file);
}

/** Removes a directory if it is there and empty; whether it did. */
export function removeEmptyDirectory(directory: string): boolean {
  return sys.unlink(AT_FDCWD, calls.pathBytes(directory), AT_REMOVEDIR) === 0;
}

// linux/fcntl.h
const [AT_FDCWD, AT_REMOVEDIR] = [-100, 0x200];

/** The program itself, when it is one file; null when it runs from source. */
export function ownBinary(): string | null {
  return program.binary;
}
