/** Modules, by Bun. */
import { isBuiltin } from "node:module";
import * as path from "node:path";
import type { Modules } from "../module_loader.ts";

/** Modules that any module that is loaded later may import by name. */
export function provideModule(name: string, exports: Record<string, unknown>): void {
  Bun.plugin({
    name,
    setup(build) {
      build.module(name, () => ({ exports, loader: "object" }));
    },
  });
}

/** The runtime's. */
export const systemModules: Modules = {
  language: "TypeScript",
  isBuiltIn: (name) => isBuiltin(name) || /^bun(:|$)/.test(name),
  load: (file) => import(file),
  importsOf(file, text) {
    const loader = file.endsWith(".ts") ? "ts" : "js";
    return new Bun.Transpiler({ loader }).scanImports(text).map((found) => found.path);
  },
};

/** As {@link systemModules}, but modules run anew each time: nothing is left of earlier ones. */
export const freshModules: Modules = {
  ...systemModules,
  load(file) {
    const beside = `${path.dirname(file)}/`;
    for (const loaded of Object.keys(require.cache)) {
      if (loaded.startsWith(beside)) delete require.cache[loaded];
    }
    return import(`${file}?${++loads}`);
  },
};

let loads = 0;

/**
 * Makes one self-contained module of a module and all it imports.
 * @param shim text of the module that stands for `xdevd/plugin`
 * @throws Error with what is wrong, a line each
 */
export async function bundleModule(entry: string, shim: string, banner: string): Promise<string> {
  let result: Bun.BuildOutput;
  try {
    result = await Bun.build({
      entrypoints: [path.resolve(entry)],
      target: "bun",
      format: "esm",
      plugins: [{
        name: "xdevd",
        setup(build) {
          build.onResolve({ filter: /^xdevd\/plugin$/ }, (args) => ({
            path: args.path,
            namespace: "xdevd",
          }));
          build.onLoad({ filter: /.*/, namespace: "xdevd" }, () => ({
            contents: shim,
            loader: "js",
          }));
        },
      }],
    });
  } catch (error) {
    const { errors = [error] } = error as { errors?: unknown[] };
    throw new Error(errors.map((one) => (one as Error).message).join("; "));
  }
  const [output] = result.outputs;
  if (output === undefined) throw new Error(result.logs.map(String).join("; "));
  // Paths of the machine it was made on are nobody's business.
  const text = (await output.text()).replace(/^\/\/ .*\n/gm, "");
  return `${banner}\n${text}`;
}
