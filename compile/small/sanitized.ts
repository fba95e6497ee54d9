/**
 * The engine for tests of its C code and of ours: an error of memory or of arithmetic ends the program there and
 * then. With this machine's own C library, which is what the compiler's sanitizers know.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { run } from "../check/foreign.ts";
import { thisMachine } from "../targets.ts";
import { DEFINES, type Engine, engine, FILES } from "./engine.ts";

const FLAGS = [
  ...["-O1", "-g1", "-fwrapv", "-fno-omit-frame-pointer"],
  ...["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
];

/** What is left at the end is the kernel's to free. Nothing of the environment is needed for it. */
const OPTIONS = `const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0:detect_stack_use_after_return=1"; }
`;

/** Compiles it if need be. @throws as `engine` */
export function sanitizedEngine(): Engine {
  const { source, compiler } = engine(thisMachine());
  const version = run(["gcc", "--version"]).split("\n")[0]!;
  const key = createHash("sha256").update(JSON.stringify([source, FLAGS, OPTIONS, version]))
    .digest("hex").slice(0, 16);
  const home = resolve(`build/small/sanitized-${key}`);
  if (!existsSync(home)) make(home, source);
  return {
    source,
    compiler,
    link: (file, outfile, cwd, include) => {
      run([
        ...["gcc", ...FLAGS, "-I", source, ...include.flatMap((at) => ["-I", at])],
        file,
        ...[...FILES, "options"].map((name) => join(home, `${name}.o`)),
        ...["-lm", "-o", outfile],
      ], cwd);
    },
  };
}

function make(home: string, source: string): void {
  const fresh = `${home}.${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  try {
    writeFileSync(join(fresh, "options.c"), OPTIONS);
    const compile = (file: string, name: string) =>
      run(["gcc", ...FLAGS, ...DEFINES, "-c", file, "-o", join(fresh, `${name}.o`)]);
    compile(join(fresh, "options.c"), "options");
    for (const name of FILES) compile(join(source, `${name}.c`), name);
    renameSync(fresh, home);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}
