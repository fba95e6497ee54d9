/** The full binary: the runtime that the tests run on and everything else in one file. */
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { BuildInfo } from "../core/build_info.ts";
import { placeMade } from "../platform/io/place_files.ts";
import { runtimeOf } from "./runtimes.ts";
import { builtInsSource, commit, ONLY_DEVD, type Order } from "./sources.ts";
import { thisMachine } from "./targets.ts";

/** How it is built. */
export const OPTIONS = {
  target: "bun",
  minify: { whitespace: true, syntax: true, identifiers: false },
  // What a command imports when it runs stays out of memory until then.
  splitting: true,
  format: "esm",
  // Parsed once, here, and not with each start.
  bytecode: true,
} as const;

/** What lies in the directory that the daemon happens to be started in is none of its business. */
export const COMPILE_OPTIONS = { autoloadDotenv: false, autoloadBunfig: false } as const;

/**
 * Compiles it; for no target, with the runtime that runs this.
 * @returns the files that went into it, relative to the current directory
 * @throws Error that says why not
 */
export async function buildFull(order: Order): Promise<string[]> {
  let inputs: string[] = [];
  await placeMade(order.outfile, async (temporary) => {
    inputs = await buildAt(resolve(temporary), order);
  });
  return inputs;
}

/**
 * Does it in a directory below this one: the runtime puts what is not whole yet into the current directory, and
 * leaves it there when it is interrupted. It is always the same, since the way to the sources goes into the binary.
 */
async function within<T>(directory: string, work: () => Promise<T>): Promise<T> {
  const before = process.cwd();
  mkdirSync(directory, { recursive: true });
  removeLeftovers(directory);
  process.chdir(directory);
  try {
    return await work();
  } finally {
    process.chdir(before);
  }
}

/** How old is what nobody works on any more, in ms. */
const LEFT_AFTER_MS = 3_600_000;

/** What compilers have left that were killed. */
function removeLeftovers(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (!name.endsWith(".bun-build")) continue;
    const file = join(directory, name);
    if (Date.now() - statSync(file).mtimeMs > LEFT_AFTER_MS) rmSync(file, { force: true });
  }
}

async function buildAt(
  outfile: string,
  { plugins, target, onlyDevd = false }: Order,
): Promise<string[]> {
  const info: BuildInfo = {
    commit: commit(),
    target: (target ?? thisMachine()).name,
  };
  const cross = target === null ? {} : {
    target: target.runtime.target as Bun.Build.CompileTarget,
    // It is compiled in another directory.
    executablePath: resolve(runtimeOf(target)),
  };
  const root = process.cwd();
  const directory = join(root, "build");
  const build = () =>
    Bun.build({
      entrypoints: [join(root, "main.ts")],
      root,
      ...OPTIONS,
      metafile: true,
      compile: { ...cross, ...COMPILE_OPTIONS, outfile },
      plugins: [
        replacing("built-ins", /\/built_in\.ts$/, builtInsSource(plugins)),
        ...(onlyDevd ? [replacing("commands", /\/commands\/commands\.ts$/, ONLY_DEVD)] : []),
        unparsed("@viz-js/viz", "instance"),
        replacing(
          "build-info",
          /\/core\/build_info\.ts$/,
          `export const BUILD = ${JSON.stringify(info)};`,
        ),
      ],
    });
  const result = await within(directory, build);
  if (!result.success) throw new Error(result.logs.join("\n"));
  for (const message of result.logs) console.error(message);
  return Object.keys(result.metafile?.inputs ?? {})
    .map((file) => relative(root, resolve(directory, file)));
}

function replacing(name: string, filter: RegExp, contents: string): Bun.BunPlugin {
  return {
    name,
    setup: (builder) => void builder.onLoad({ filter }, () => ({ contents, loader: "ts" })),
  };
}

/**
 * A package that is in the binary as its text: one that hardly anybody needs, and whose bytecode
 * would take several megabytes.
 * @param name what it exports: an asynchronous function without arguments
 */
function unparsed(module: string, name: string): Bun.BunPlugin {
  const file = fileURLToPath(import.meta.resolve(module));
  return {
    name: module,
    setup(builder) {
      const filter = new RegExp(`^${RegExp.escape(module)}$`);
      builder.onResolve({ filter }, () => ({ path: module, namespace: "unparsed" }));
      builder.onLoad({ filter, namespace: "unparsed" }, () => ({
        contents: `import file from ${JSON.stringify(file)} with { type: "file" };\n` +
          `export const ${name} = async () => await (await import(file)).${name}();`,
        loader: "js",
      }));
    },
  };
}
