/** The engine's objects and the C library, made once for each pinned version below `build/small`. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { run } from "../check/foreign.ts";
import { fetched, requireProgram } from "./debian.ts";
import { ENGINE_VERSION, MUSL, QUICKJS } from "./pinned.ts";

/** What the engine consists of; its standard library is not used. */
const FILES = ["quickjs", "libregexp", "libunicode", "cutils", "dtoa"];

/** For all C code: small, and hardened. */
const FLAGS = [
  ...["-Os", "-fPIE", "-fwrapv", "-fstack-protector-strong"],
  ...["-ffunction-sections", "-fdata-sections"],
  // Nothing unwinds the stack.
  ...["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"],
];

/** A program has a random place, and its tables are read-only once it runs. */
const LINK_FLAGS = [
  ...["-static-pie", "-nostdlib", "-s"],
  "-Wl,--gc-sections,--build-id=none,-z,relro,-z,now,-z,noexecstack",
];

/** The compiler with the engine. */
export interface Engine {
  /**
   * Makes a static program of one C file and the engine.
   * @param cwd where `.incbin` finds files
   * @throws Error with the compiler's words
   */
  link(source: string, outfile: string, cwd: string, include: readonly string[]): void;
}

/** Fetches and compiles it if need be. @throws Error, one line, when something is missing */
export function engine(): Engine {
  if (process.arch !== "x64") {
    throw new Error(`the small binary is made on x64 only so far; this machine is ${process.arch}`);
  }
  requireProgram("gcc", "gcc");
  const compiler = run(["gcc", "--version"]).split("\n")[0]!;
  const key = createHash("sha256")
    .update(JSON.stringify([QUICKJS.sha256, MUSL.sha256, FILES, FLAGS, compiler]))
    .digest("hex").slice(0, 16);
  const home = resolve(`build/small/engine-${QUICKJS.version}-${key}`);
  if (!existsSync(home)) make(home);
  return { link: (source, outfile, cwd, include) => link(home, source, outfile, cwd, include) };
}

function make(home: string): void {
  for (const [program, name] of [["dpkg", "dpkg"], ["tar", "tar"], ["xz", "xz-utils"]] as const) {
    requireProgram(program, name);
  }
  const [source, library] = fetched([QUICKJS, MUSL]) as [string, string];
  const fresh = `${home}.${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  for (const name of ["source", "objects"]) mkdirSync(join(fresh, name), { recursive: true });
  try {
    run(["tar", "-xJf", source, "--strip-components=1", "-C", join(fresh, "source")]);
    run(["dpkg", "-x", library, join(fresh, "musl")]);
    const defines = ["-D_GNU_SOURCE", `-DCONFIG_VERSION="${ENGINE_VERSION}"`];
    for (const file of FILES) {
      // From within: an assertion's message has the file's name as it was given.
      const to = join(fresh, "objects", `${file}.o`);
      run([...compile(fresh), ...defines, "-c", `${file}.c`, "-o", to], join(fresh, "source"));
    }
    renameSync(fresh, home);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** The compiler with the C library's headers and no others. */
function compile(home: string): string[] {
  const own = run(["gcc", "-print-file-name=include"]).trim();
  const headers = join(home, "musl/usr/include/x86_64-linux-musl");
  return ["gcc", ...FLAGS, "-nostdinc", "-isystem", headers, "-isystem", own];
}

function link(
  home: string,
  source: string,
  outfile: string,
  cwd: string,
  include: readonly string[],
): void {
  const libraries = join(home, "musl/usr/lib/x86_64-linux-musl");
  const start = (name: string) => run(["gcc", `-print-file-name=${name}`]).trim();
  run([
    ...compile(home),
    ...["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-cast-function-type"],
    ...["-I", join(home, "source")],
    ...include.flatMap((directory) => ["-I", directory]),
    ...LINK_FLAGS,
    ...[join(libraries, "rcrt1.o"), join(libraries, "crti.o"), start("crtbeginS.o")],
    source,
    ...FILES.map((file) => join(home, "objects", `${file}.o`)),
    ...["-L", libraries, "-lc", "-lgcc"],
    ...[start("crtendS.o"), join(libraries, "crtn.o")],
    ...["-o", outfile],
  ], cwd);
}
