/** Modules that are loaded at run time: JavaScript, one file each. */
import { closeFile, O_RDONLY, openFile, readOpen } from "../io/file_calls.ts";
import type { Modules } from "../module_loader.ts";
import { host } from "./host.ts";

/** The host has the one name that a plugin may import: `xdevd/plugin`, a part of the program. */
export function provideModule(_name: string, _exports: Record<string, unknown>): void {}

/** The largest plugin, in bytes. */
const SIZE_MAX = 16 * 1024 * 1024;

let loads = 0;

function readModule(file: string): Uint8Array {
  if (/\.[cm]?tsx?$/.test(file)) {
    throw new Error(
      `${file} is TypeScript, which this small binary does not run: bundle it with the full one, ` +
        "xdevd-full plugin bundle",
    );
  }
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
  const [end, namespace] = host.bounded(() => host.module(readModule(file), name));
  try {
    await end;
  } catch (error) {
    throw host.catchable(error);
  }
  return namespace as Record<string, unknown>;
}

/** The engine's. */
export const systemModules: Modules = {
  isBuiltIn: () => false,
  load: (file) => run(file, file),
  importsOf: (_, text) => importsOf(text),
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
