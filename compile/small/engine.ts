/** The engine's objects and the C library, made once for each pinned version below `build/small`. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { run } from "../check/foreign.ts";
import { type Target, thisMachine } from "../targets.ts";
import { fetched, requireProgram } from "./debian.ts";
import { ENGINE_VERSION, MUSL, QUICKJS } from "./pinned.ts";

/** What the engine consists of; its standard library is not used. */
export const FILES = ["quickjs", "libregexp", "libunicode", "cutils", "dtoa"];

/** For all C code: small, and hardened. */
const FLAGS = [
  ...["-Os", "-fPIE", "-fwrapv", "-fstack-protector-strong", "-fstack-clash-protection"],
  // What a fault would otherwise read from the stack is zero.
  "-ftrivial-auto-var-init=zero",
  ...["-ffunction-sections", "-fdata-sections"],
  // Nothing unwinds the stack.
  ...["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"],
];

/** What the engine's text wants to be told. */
export const DEFINES = ["-D_GNU_SOURCE", `-DCONFIG_VERSION="${ENGINE_VERSION}"`];

/** For one kind of machine. */
const TARGET_FLAGS: Readonly<Record<Target["name"], readonly string[]>> = {
  // Where the processor can, calls through pointers and returns go only where the compiler meant.
  "linux-x64": ["-fcf-protection=full"],
  // The compiler's own library chooses atomic instructions at the start by a function that only glibc has.
  "linux-arm64": ["-mbranch-protection=standard", "-mno-outline-atomics"],
};

/** A program has a random place, and its tables are read-only once it runs. */
const LINK_FLAGS = [
  ...["-static-pie", "-nostdlib", "-s"],
  "-Wl,--gc-sections,--build-id=none,-z,relro,-z,now,-z,noexecstack",
];

/** The linker packs relative relocations for some machines. */
const TARGET_LINK_FLAGS: Readonly<Record<Target["name"], readonly string[]>> = {
  "linux-x64": ["-Wl,-z,pack-relative-relocs"],
  "linux-arm64": [],
};

/** Our own code has nothing that the compiler warns of. */
const WARNINGS = [
  ...["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-cast-function-type"],
];

/** The compiler with the engine. */
export interface Engine {
  /** Where its text is. */
  readonly source: string;
  /**
   * Makes a static program of one C file and the engine.
   * @param cwd where `.incbin` finds files
   * @throws Error with the compiler's words
   */
  link(source: string, outfile: string, cwd: string, include: readonly string[]): void;
  /**
   * The program that makes bytecode of the parts.
   * @throws Error with the compiler's words
   */
  compiler(): string;
}

/** What it is made with, for one kind of machine. */
interface Kit {
  readonly target: Target;
  readonly gcc: string;
  readonly home: string;
}

/**
 * Fetches and compiles it if need be.
 * @throws MissingPart, one line, when something is not to be had
 * @throws Error with the compiler's words
 */
export function engine(target: Target): Engine {
  const gcc = compilerFor(target);
  const version = compilerVersion(target);
  const parts = [QUICKJS.sha256, MUSL[target.debian].sha256, FILES, flags(target), version];
  const key = createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
  const home = resolve(`build/small/engine-${QUICKJS.version}-${target.name}-${key}`);
  const kit = { target, gcc, home };
  if (!existsSync(home)) make(kit);
  return {
    source: join(home, "source"),
    link: (source, outfile, cwd, include) =>
      link(kit, [...WARNINGS, ...includes(include), source], FILES, outfile, cwd),
    compiler: () => compiler(kit),
  };
}

/** Made of the engine's own text, and kept beside its objects. */
function compiler(kit: Kit): string {
  const source = resolve("compile/small/parts.c");
  const key = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const file = join(kit.home, `compiler-${key}`);
  if (existsSync(file)) return file;
  const fresh = `${file}.${process.pid}`;
  // It runs for a second, and is compiled sooner this way.
  link(kit, [...DEFINES, "-O0", source], FILES.filter((name) => name !== "quickjs"), fresh, ".");
  renameSync(fresh, file);
  return file;
}

function includes(directories: readonly string[]): string[] {
  return directories.flatMap((directory) => ["-I", directory]);
}

/** The compiler's own name of itself. @throws MissingPart when there is none */
export function compilerVersion(target: Target): string {
  return run([compilerFor(target), "--version"]).split("\n")[0]!;
}

/** What the compiler itself puts into the program: its version, and the library's SHA-256. */
export function compilerLibrary(target: Target): { version: string; sha256: string } {
  const gcc = compilerFor(target);
  const file = run([gcc, "-print-libgcc-file-name"]).trim();
  return {
    version: run([gcc, "-dumpfullversion"]).trim(),
    sha256: createHash("sha256").update(readFileSync(file)).digest("hex"),
  };
}

function flags(target: Target): string[] {
  return [...FLAGS, ...TARGET_FLAGS[target.name]];
}

function compilerFor(target: Target): string {
  if (target === thisMachine()) {
    requireProgram("gcc", "gcc");
    return "gcc";
  }
  const gcc = `${target.triplet}-gnu-gcc`;
  requireProgram(gcc, `gcc-${target.triplet.replace("_", "-")}-gnu`);
  return gcc;
}

function make({ target, gcc, home }: Kit): void {
  for (const [program, name] of [["dpkg", "dpkg"], ["tar", "tar"], ["xz", "xz-utils"]] as const) {
    requireProgram(program, name);
  }
  const [source, library] = fetched([QUICKJS, MUSL[target.debian]]) as [string, string];
  const fresh = `${home}.${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  for (const name of ["source", "objects"]) mkdirSync(join(fresh, name), { recursive: true });
  try {
    run(["tar", "-xJf", source, "--strip-components=1", "-C", join(fresh, "source")]);
    run(["dpkg", "-x", library, join(fresh, "musl")]);
    for (const file of FILES) {
      // From within: an assertion's message has the file's name as it was given.
      const to = join(fresh, "objects", `${file}.o`);
      const command = compile(target, gcc, fresh);
      run([...command, ...DEFINES, "-c", `${file}.c`, "-o", to], join(fresh, "source"));
    }
    renameSync(fresh, home);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** The compiler with the C library's headers and no others. */
function compile(target: Target, gcc: string, home: string): string[] {
  const own = run([gcc, "-print-file-name=include"]).trim();
  const headers = join(home, `musl/usr/include/${target.triplet}-musl`);
  return [gcc, ...flags(target), "-nostdinc", "-isystem", headers, "-isystem", own];
}

function link(
  { target, gcc, home }: Kit,
  own: readonly string[],
  objects: readonly string[],
  outfile: string,
  cwd: string,
): void {
  const libraries = join(home, `musl/usr/lib/${target.triplet}-musl`);
  const start = (name: string) => run([gcc, `-print-file-name=${name}`]).trim();
  run([
    ...compile(target, gcc, home),
    ...["-I", join(home, "source")],
    ...LINK_FLAGS,
    ...TARGET_LINK_FLAGS[target.name],
    ...[join(libraries, "rcrt1.o"), join(libraries, "crti.o"), start("crtbeginS.o")],
    ...own,
    ...objects.map((file) => join(home, "objects", `${file}.o`)),
    ...["-L", libraries, "-lc", "-lgcc"],
    ...[start("crtendS.o"), join(libraries, "crtn.o")],
    ...["-o", outfile],
  ], cwd);
}
