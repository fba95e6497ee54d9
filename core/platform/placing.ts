/** Putting files in their places: they have their names when they are whole. */
import * as fs from "node:fs";
import * as path from "node:path";
import { sha256OfFile } from "./checksum.ts";

/** A place in the file system that is, or is not, taken. */
export type Found =
  | { readonly kind: "nothing" | "directory" | "other" }
  | { readonly kind: "file"; readonly sha256: string }
  | { readonly kind: "link"; readonly target: string };

/** What is at a path; a link is not followed. @throws SystemError */
export async function lookAt(file: string): Promise<Found> {
  const stats = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return { kind: "nothing" };
  if (stats.isSymbolicLink()) return { kind: "link", target: fs.readlinkSync(file) };
  if (stats.isDirectory()) return { kind: "directory" };
  return stats.isFile() ? { kind: "file", sha256: await sha256OfFile(file) } : { kind: "other" };
}

/** Where a path below `root` really is: the same, unless links on the way lead elsewhere. */
export function realPlace(root: string, file: string): string {
  let existing = path.join(root, file);
  const missing: string[] = [];
  while (fs.lstatSync(existing, { throwIfNoEntry: false }) === undefined && existing !== "/") {
    missing.unshift(path.basename(existing));
    existing = path.dirname(existing);
  }
  // The last component itself is not followed.
  const name = missing.length === 0 ? [path.basename(existing)] : missing;
  const directory = missing.length === 0 ? path.dirname(existing) : existing;
  return path.join(fs.realpathSync(directory), ...name);
}

/**
 * Makes a directory of this user's own for what is needed for a while, below `TMPDIR` or `/tmp`; nobody
 * can have made it before.
 * @param name the beginning of its name
 * @returns its path @throws SystemError
 */
export function makeTemporaryDirectory(name: string): string {
  return fs.mkdtempSync(path.join(process.env["TMPDIR"] || "/tmp", name));
}

/** Makes a directory and those above it; returns those that it made, the uppermost first. */
export function makeDirectories(directory: string): string[] {
  const made: string[] = [];
  for (let at = directory; !fs.existsSync(at); at = path.dirname(at)) made.unshift(at);
  for (const each of made) fs.mkdirSync(each, { mode: 0o755 });
  return made;
}

/** Puts a file there, at once as far as anybody can see. @throws SystemError */
export function placeText(file: string, text: string | Uint8Array, mode: number): void {
  place(file, (temporary) => fs.writeFileSync(temporary, text, { flag: "wx" }), mode);
}

/** Puts a copy there, likewise. @throws SystemError */
export function placeCopy(file: string, source: string, mode: number): void {
  place(
    file,
    (temporary) => fs.copyFileSync(source, temporary, fs.constants.COPYFILE_EXCL),
    mode,
  );
}

/** Puts a link there, likewise. @throws SystemError */
export function placeLink(file: string, target: string): void {
  place(file, (temporary) => fs.symlinkSync(target, temporary), null);
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
  const temporary = path.join(directory, path.basename(file));
  fs.rmSync(directory, { recursive: true, force: true });
  fs.mkdirSync(directory, { recursive: true });
  try {
    await make(temporary);
    fs.renameSync(temporary, file);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** Ends the name of what is not whole yet. */
const NEW = ".xdevd-new";

function place(file: string, make: (temporary: string) => void, mode: number | null): void {
  const temporary = `${file}${NEW}`;
  fs.rmSync(temporary, { force: true, recursive: true });
  try {
    make(temporary);
    if (mode !== null) fs.chmodSync(temporary, mode);
    fs.renameSync(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
}

/** Removes a file or link. @throws SystemError */
export function removeFile(file: string): void {
  fs.rmSync(file, { force: true });
}

/** Removes a directory if it is there and empty; whether it did. */
export function removeEmptyDirectory(directory: string): boolean {
  try {
    fs.rmdirSync(directory);
    return true;
  } catch {
    return false;
  }
}

/** The program itself, when it is one file; null when it runs from source. */
export function ownBinary(): string | null {
  return Bun.main.startsWith("/$bunfs/") ? process.execPath : null;
}
