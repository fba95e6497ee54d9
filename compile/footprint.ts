/**
 * What a driver domain has to have, in files: with xdevd, and with `xl devd`, bash and Xen's scripts.
 * Measured on this machine (Debian 12 with xen-utils-4.17): the programs, and the libraries that ldd
 * names for them. Sizes are of files, and of all of them in a tar by `xz -6`.
 *
 * `bun compile/footprint.ts`; prints the table of the README.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { run } from "./check/foreign.ts";

const SCRIPTS = "/etc/xen/scripts";
/** What the scripts `block` and `vif-bridge`, and what they include, call. */
const TOOLS = [
  ..."awk basename cat cut dirname expr grep id mkdir readlink rm sed stat".split(" "),
  ..."flock ip logger losetup mount bridge".split(" "),
  ..."xenstore-exists xenstore-list xenstore-read xenstore-rm xenstore-write".split(" "),
];
const XL = "/usr/lib/xen-4.17/bin/xl";

/** A name, and the files that it takes. */
type Row = readonly [name: string, files: ReadonlySet<string>];

const full = closure(["dist/xdevd-full"]);
const stock = closure([
  XL,
  "/usr/sbin/xl",
  "/bin/sh",
  "/bin/bash",
  ...TOOLS.map(found),
  ...scripts(),
]);
const xl = closure([XL]);

const rows: readonly Row[] = [
  ["xdevd, which needs nothing else", closure(["dist/xdevd"])],
  ["`xl` with its libraries", xl],
  ["`xl`, bash, `block` and `vif-bridge`, and the programs they call", stock],
  ["xdevd-full (Bun), with the C library", full],
];
console.log("| | files | size | compressed |\n| --- | --- | --- | --- |");
for (const [name, files] of rows) {
  const size = [...files].reduce((sum, file) => sum + statSync(file).size, 0);
  console.log(`| ${name} | ${files.size} | ${megabytes(size)} | ${megabytes(compressed(files))} |`);
}

function scripts(): string[] {
  const wanted = /^(block|vif-bridge|.*-common\.sh|hotplugpath\.sh|locking\.sh|logging\.sh)$/;
  return readdirSync(SCRIPTS).filter((name) => wanted.test(name)).map((name) =>
    `${SCRIPTS}/${name}`
  );
}

function found(tool: string): string {
  const directories = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
  const path = directories.map((directory) => `${directory}/${tool}`).find(existsSync);
  if (path === undefined) throw new Error(`there is no ${tool} here`);
  return path;
}

/** The files, and the libraries that they need; each once, by its real name. */
function closure(files: readonly string[]): Set<string> {
  const all = new Set(files.map((file) => realpathSync(file)));
  for (const file of [...all]) {
    // What is no program, or a static one, has none.
    const { stdout } = spawnSync("ldd", [file], { encoding: "utf8" });
    for (const [, library] of stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)) {
      all.add(realpathSync(library!));
    }
  }
  return all;
}

function compressed(files: ReadonlySet<string>): number {
  const script = 'tar -chf - "$@" 2>/dev/null | xz -6 -T0 | wc -c';
  return Number(run(["sh", "-c", script, "-", ...files]));
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
