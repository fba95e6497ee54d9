/** Programs of this machine in an archive: with their shared libraries, in Debian's merged layout. */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { commandText } from "./command.ts";
import type { Archive } from "./cpio.ts";
import { ImageError } from "./image_error.ts";

const busybox = "/bin/busybox";

/** `/bin`, `/sbin`, `/lib` and `/lib64` are links into `/usr`, as on Debian. */
export function addMergedLayout(archive: Archive): void {
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    archive.set(`usr/${name}`, { type: "directory" });
    archive.set(name, { type: "link", target: `usr/${name}` });
  }
}

/** The shared libraries that the loader would take for a program, itself included. */
export function librariesOf(program: string): string[] {
  // Status 1: not a dynamic program, e.g. a script.
  const listed = commandText("ldd", [program], { accept: [1] });
  return [...listed.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!);
}

/** Adds programs under their own paths, and their libraries. */
export function addPrograms(archive: Archive, programs: readonly string[]): void {
  for (const program of programs) {
    addResolved(archive, program);
    for (const library of librariesOf(program)) addResolved(archive, library);
  }
}

/** Adds a file under its name in the real directory (`/bin/x` is `/usr/bin/x`), links followed. */
export function addResolved(archive: Archive, path: string): void {
  const place = join(fs.realpathSync(dirname(path)), path.slice(path.lastIndexOf("/") + 1));
  if (!archive.has(place)) archive.addFile(place, fs.realpathSync(path));
}

/**
 * Busybox for every command that no real program has been added for.
 * @throws ImageError when there is none, or one that needs libraries
 */
export function addBusybox(archive: Archive): void {
  if (!fs.existsSync(busybox) || librariesOf(busybox).length > 0) {
    throw new ImageError(`${busybox} is missing or not static (Debian: package busybox-static)`);
  }
  addResolved(archive, busybox);
  for (const applet of commandText(busybox, ["--list"]).trim().split("\n")) {
    if (archive.has(`usr/bin/${applet}`) || archive.has(`usr/sbin/${applet}`)) continue;
    archive.set(`usr/bin/${applet}`, { type: "link", target: "busybox" });
  }
}
