/** Modules that are loaded at run time: JavaScript, one file each. */
import { closeFile, O_RDONLY, openFile, readOpen } from "../io/file_calls.ts";
import type { Modules } from "../module_loader.ts";
import { host } from "./host.ts";
import { bounded } from "./run_limit.ts";

/** The host has the one name that a plugin may import: `xdevd/plugin`, a part of the program. */
export function provideModule(_name: string, _exports: Record<string, unknown>): void {}

/** The largest plugin, in bytes. */
const SIZE_MAX = 16 * 1024 * 1024;

let loads = 0;

/** @throws Error that says what to do */
function refuseTypeScript(file: string): void {
  if (!/\.[cm]?tsx?$/.test(file)) return;
  throw new Error(
    `${file} is TypeScript, which this small binary does not run: bundle it with the full one, ` +
      "xdevd-full plugin bundle",
  );
}

function readModule(file: string): Uint8Array {
  refuseTypeScript(file);
  const fd = openFile(file, O_RDONLY);
  try {
    const bytes = readOpen(fd, SIZE_MAX);
    const ended = new Uint8Array(bytes.length + 1);
    ended.set(bytes);
    return ended;
  } finally {
    closeFile(fd);
  }
}

async function run(file: string, name: string): Promise<Record<string, unknown>> {
  const text = readModule(file);
  const namespace = await bounded(async () => {
    const [end, names] = host.module(text, name);
    await end;
    return names as Record<string, unknown>;
  });
  const plugin = namespace["default"];
  if (typeof plugin !== "object" || plugin === null) return namespace;
  return { ...namespace, default: boundedPlugin(plugin) };
}

/** The same plugin, none of whose operations runs for longer than it may. */
function boundedPlugin(plugin: object): object {
  const operations = Object.entries(plugin).map(([name, value]) => [
    name,
    typeof value === "function"
      ? (...args: unknown[]) => bounded(() => value.apply(plugin, args))
      : value,
  ]);
  return Object.fromEntries(operations);
}

/** The engine's. */
export const systemModules: Modules = {
  language: "JavaScript",
  isBuiltIn: () => false,
  load: (file) => run(file, file),
  importsOf(file, text) {
    refuseTypeScript(file);
    return importsOf(text);
  },
};

/** As {@link systemModules}, but modules run anew each time. */
export const freshModules: Modules = {
  ...systemModules,
  load: (file) => run(file, `${file}?${++loads}`),
};

/**
 * What a module's text imports. The engine refuses whatever else it imports before anything runs; this
 * is for a clear line before that.
 */
export function importsOf(text: string): string[] {
  const found = new Set<string>();
  // Strings and comments that look like an import are taken for one: the line that follows says which.
  const pattern =
    /(?:^|[;}\s])(?:import|export)\s*(?:[\w*{}\s,$]+\s*from\s*)?["']([^"'\n]+)["']|\bimport\s*\(\s*["']([^"'\n]+)["']/g;
  for (const [, named, loaded] of text.matchAll(pattern)) found.add((named ?? loaded)!);
  return [...found];
}

/** @throws Error: this binary has no bundler */
export function bundleModule(_entry: string, _shim: string, _banner: string): Promise<string> {
  const why = "this small binary has no bundler: use the full one, xdevd-full plugin bundle";
  return Promise.reject(new Error(why));
}
