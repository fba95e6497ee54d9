/** The store of a machine without Xen: Debian's own xenstored, on the shim of test/real. */
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { command } from "../../../compile/image/command.ts";
import { librariesOf } from "../../../compile/image/programs.ts";

const project = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const shim = join(project, "build/shim");

/**
 * Puts xenstored, the toolstack's tools and their libraries into `lab`. The system's own libraries are
 * not touched, and its xenstore tools may be whatever it has.
 * @throws ImageError with what the compiler said, or about what is not installed
 */
export function addStore(lab: string): void {
  fs.mkdirSync(shim, { recursive: true });
  command("make", ["--silent", "-C", join(project, "test/real/shim"), `OUT=${shim}`]);
  const programs = [
    "/usr/lib/xen-4.17/bin/xenstored",
    "/usr/bin/xenstore",
    join(shim, "fakedom"),
  ];
  const libraries = new Set(programs.flatMap((program) => [...librariesOf(program)]));
  for (const name of ["bin", "lib"]) fs.mkdirSync(join(lab, name));
  for (const program of programs) fs.copyFileSync(program, join(lab, "bin", basename(program)));
  // The C library is the system's: it comes with its loader, and is there in every initramfs.
  for (const library of [...libraries].filter((path) => /\/libxen[^/]*$/.test(path))) {
    fs.copyFileSync(library, join(lab, "lib", basename(library)));
  }
  fs.copyFileSync(join(shim, "xenstored-shim.so"), join(lab, "lib/xenstored-shim.so"));
}
