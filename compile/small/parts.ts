/** The program's parts: modules that are loaded when they are needed, each as bytecode. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { build, type OnLoadResult, type Plugin } from "esbuild";
import { run } from "../check/foreign.ts";
import { pack } from "./pack.ts";
import type { Engine } from "./engine.ts";
import { linesOf } from "./lines.ts";

/** Files that the small binary has another of, in `platform/quickjs`. */
const FACADES = ["kernel", "runtime", "modules", "tuning"];

const platform = resolve("platform");

/** The parts that `host.c` starts with, or gives to plugins. */
const ENTRIES = {
  globals: join(platform, "quickjs/globals.ts"),
  plugin: resolve("contract/v2/plugin.ts"),
};

/** What is in the binary. */
export interface Parts {
  /** Their names, sorted; each is a file of bytecode in the directory, packed. */
  readonly names: readonly string[];
  /** How many bytes each is unpacked. */
  readonly sizes: readonly number[];
  readonly directory: string;
  /** The files that went into them, relative to the current directory. */
  readonly inputs: readonly string[];
}

/**
 * Makes them.
 * @param main the module that runs
 * @param replaced what stands in place of modules, by the path of these, relative to here
 * @param work an empty directory, which gets everything
 * @throws Error that says why not
 */
export async function makeParts(
  engine: Engine,
  main: string,
  replaced: Readonly<Record<string, string>>,
  work: string,
): Promise<Parts> {
  const modules = join(work, "modules");
  const directory = join(work, "parts");
  mkdirSync(directory, { recursive: true });
  const { metafile } = await build({
    entryPoints: { ...ENTRIES, main: resolve(main) },
    absWorkingDir: process.cwd(),
    outdir: modules,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "neutral",
    // What the engine lacks of this is lowered.
    target: "es2023",
    supported: { "top-level-await": true },
    mainFields: ["module", "main"],
    conditions: ["import", "browser"],
    charset: "utf8",
    legalComments: "none",
    minifySyntax: true,
    logLevel: "silent",
    chunkNames: "[name]-[hash]",
    metafile: true,
    sourcemap: "external",
    sourcesContent: false,
    plugins: [standIns(replaced)],
  });
  const names = readdirSync(modules).filter((name) => name.endsWith(".js")).sort();
  for (const name of names) {
    const map = join(modules, `${name}.map`);
    const text = linesOf(JSON.parse(readFileSync(map, "utf8")), map);
    writeFileSync(join(modules, `${name}.lines`), text);
  }
  run([engine.compiler(), modules, directory, ...names]);
  const sizes = names.map((name) => {
    const file = join(directory, name);
    const bytecode = readFileSync(file);
    writeFileSync(file, pack(bytecode));
    return bytecode.length;
  });
  return { names, sizes, directory, inputs: Object.keys(metafile.inputs) };
}

/** What is another file, another text, or not there at all in this binary. */
function standIns(replaced: Readonly<Record<string, string>>): Plugin {
  const texts = new Map(Object.entries(replaced).map(([path, text]) => [resolve(path), text]));
  return {
    name: "small",
    setup(builder) {
      builder.onResolve({ filter: /\.ts$/ }, ({ resolveDir, path }) => {
        const full = resolve(resolveDir, path);
        const name = FACADES.find((facade) => full === join(platform, `${facade}.ts`));
        return name === undefined ? undefined : { path: join(platform, "quickjs", `${name}.ts`) };
      });
      builder.onResolve({ filter: /^(node|bun):|^bun$/ }, ({ path, importer }) => ({
        errors: [{ text: `${importer} imports ${path}, which the small binary lacks` }],
      }));
      // What `plugin new` writes there is JavaScript.
      builder.onLoad({ filter: /\/plugins\/templates\/\w+\.ts$/ }, () => ({
        contents: "",
        loader: "text",
      }));
      builder.onResolve({ filter: /^@viz-js\/viz$/ }, ({ path }) => ({ path, namespace: "none" }));
      builder.onLoad({ filter: /.*/, namespace: "none" }, () => drawingRefused());
      builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const contents = texts.get(path);
        return contents === undefined
          ? undefined
          : { contents, loader: "ts", resolveDir: resolve(path, "..") };
      });
    },
  };
}

function drawingRefused(): OnLoadResult {
  const why = "this small binary does not draw: use the full one, xdevd-full";
  return {
    contents: `export const instance = () => Promise.reject(new Error(${JSON.stringify(why)}));`,
    loader: "js",
  };
}

/** The C text that `host.c` takes the parts from; the assembler finds them in their directory. */
export function partsHeader({ names, sizes, directory }: Parts): string {
  let at = 0;
  const rows = names.map((name, index) => {
    const start = at;
    at += statSync(join(directory, name)).size;
    return `  {"${basename(name)}", all_parts + ${start}, all_parts + ${at}, ${sizes[index]}},`;
  });
  return [
    "struct part { const char *name; const uint8_t *start, *end; size_t size; };",
    '#define GLOBALS_PART "globals.js"',
    '#define MAIN_PART "main.js"',
    '#define PLUGIN_PART "plugin.js"',
    '__asm__(".section .rodata\\nall_parts:\\n"',
    ...names.map((name) => `  ".incbin \\"${name}\\"\\n"`),
    '  ".byte 0\\n.previous");',
    "extern const uint8_t all_parts[];",
    "static const struct part parts[] = {",
    ...rows,
    "  {0},",
    "};",
    "",
  ].join("\n");
}
