/** Carries a plugin that is a module: the daemon imports it, and errors tell where in its files they arose. */
import type { Modules } from "../../platform/modules.ts";
import type { PluginManifest, PluginOperations } from "../../contract/v1/plugin.ts";
import { checkContract, checkManifest, difference } from "../../core/daemon/plugin/manifest.ts";
import { checkPluginFile, PluginRefused, type TrustParts } from "../trust.ts";
import { checkOperations } from "../../core/daemon/plugin/guard.ts";
import type { PluginHost } from "../../core/daemon/plugin/host.ts";

/** An error with its place in the plugin's files at the end of its first line. */
export class LocatedError extends Error {
  override name = "LocatedError";
}

/** What only a mistake in the code throws. */
const MISTAKES = [TypeError, ReferenceError, RangeError, SyntaxError];

/** Whether this tells of a mistake in the code rather than of what it found. */
function isMistake(error: unknown): boolean {
  return MISTAKES.some((kind) => error instanceof kind);
}

/** Where the runtime's compiler has found an error; null for other errors. */
function syntaxPlace(
  error: unknown,
): { readonly file: string; readonly line: number } | null {
  const { errors, position } = (error ?? {}) as {
    errors?: unknown;
    position?: { file?: unknown; line?: unknown } | null;
  };
  if (Array.isArray(errors) && errors.length > 0) return syntaxPlace(errors[0]);
  const { file, line } = position ?? {};
  return typeof file === "string" && typeof line === "number" ? { file, line } : null;
}

/**
 * The place that an error comes from, as `my-disks.ts:23`; null if that is not known.
 * @param origin the plugin's file; files beside and below it are its own
 */
export function placeOf(error: unknown, origin: string): string | null {
  const directory = origin.slice(0, origin.lastIndexOf("/") + 1);
  if (directory === "" || typeof error !== "object" || error === null) return null;
  const own = (file: string, line: number | string) =>
    file.startsWith(directory) ? `${file.slice(directory.length)}:${line}` : null;
  const syntax = syntaxPlace(error);
  if (syntax !== null) return own(syntax.file, syntax.line);
  const { stack } = error as { stack?: unknown };
  for (const line of typeof stack === "string" ? stack.split("\n") : []) {
    const [, file = "", number = ""] = FRAME.exec(line) ?? [];
    const place = own(file, number);
    if (place !== null) return place;
  }
  return null;
}

/** `    at async add (/some/where.ts?3:23:5)`, or without a name. */
const FRAME = /^\s+at (?:.*\(|async )?(\/.*?)(?:\?\d+)?:(\d+)(?::\d+)?\)?$/;

/** The same error, with its place if that is known; what is no Error stays what it is. */
export function located(error: unknown, origin: string): unknown {
  const place = placeOf(error, origin);
  if (place === null || !(error instanceof Error) || error instanceof LocatedError) return error;
  const [first = "", ...others] = error.message.split("\n");
  return new LocatedError([`${first || error.name} (${place})`, ...others].join("\n"), {
    cause: error,
  });
}

/** What a module host needs. */
export interface ModuleHostParts extends TrustParts {
  readonly modules: Modules;
}

/** Most files that one plugin may consist of. */
const FILES_MAX = 200;

/**
 * @param path absolute
 * @param more `sha256`: what the file must have; then it must be the only one; `places`: which
 * errors of its calls tell where in its files they come from, `mistakes` by default
 * @throws ManifestError when it was written for another contract
 */
export function moduleHost(
  path: string,
  manifest: PluginManifest,
  parts: ModuleHostParts,
  { sha256, settings = {}, places = "mistakes" }: {
    sha256?: string;
    settings?: PluginHost["settings"];
    places?: "mistakes" | "all";
  } = {},
): PluginHost {
  checkContract(manifest.api);
  let loaded: Promise<PluginOperations> | null = null;
  const operations = () =>
    loaded ??= loadPlugin(path, manifest, parts, sha256).then(
      (plugin) => withPlaces(plugin, path, places),
      (error) => {
        loaded = null;
        throw error;
      },
    );
  return {
    manifest,
    origin: path,
    settings,
    operations,
    probe: async () => void await operations(),
    close: async () => {},
  };
}

/** The same plugin; its errors tell where they come from. */
function withPlaces(
  plugin: PluginOperations,
  path: string,
  places: "mistakes" | "all",
): PluginOperations {
  const told =
    <Args extends unknown[], T>(call: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      try {
        return await call.apply(plugin, args);
      } catch (error) {
        throw places === "all" || isMistake(error) ? located(error, path) : error;
      }
    };
  const { adopt, check, spec } = plugin;
  return {
    add: told(plugin.add),
    remove: told(plugin.remove),
    ...(adopt === undefined ? {} : { adopt: told(adopt) }),
    ...(check === undefined ? {} : { check: told(check) }),
    ...(spec === undefined ? {} : { spec }),
  };
}

/** The plugin in a module, whose files may be used. @throws PluginRefused */
export async function loadPlugin(
  path: string,
  manifest: PluginManifest,
  parts: ModuleHostParts,
  sha256?: string,
): Promise<PluginOperations> {
  await checkFiles(path, parts, sha256);
  let module: Record<string, unknown>;
  try {
    module = await parts.modules.load(path);
  } catch (error) {
    const place = placeOf(error, path);
    const where = place === null ? "" : ` (${place})`;
    throw new PluginRefused(`plugin ${path} cannot be loaded: ${firstLine(error)}${where}`);
  }
  const plugin = module["default"];
  if (typeof plugin !== "object" || plugin === null) {
    throw new PluginRefused(`plugin ${path} has no default export made by definePlugin`);
  }
  try {
    const difference_ = difference(manifest, checkManifest(plugin));
    if (difference_ !== null) throw new Error(difference_);
    return checkOperations(manifest.name, plugin);
  } catch (error) {
    throw new PluginRefused(`plugin ${path}: ${firstLine(error)}`);
  }
}

/** All files that the module consists of: those beside it that it imports must be safe as well. */
async function checkFiles(
  path: string,
  parts: ModuleHostParts,
  sha256: string | undefined,
): Promise<void> {
  const files = [path];
  for (const file of files) {
    await checkPluginFile(parts, file, file === path && sha256 !== undefined ? { sha256 } : {});
    for (const imported of importsOf(parts, file, await parts.files.readText(file))) {
      if (imported === "xdevd/plugin" || parts.modules.isBuiltIn(imported)) continue;
      const refuse = (why: string): never => {
        throw new PluginRefused(`plugin ${path} imports ${JSON.stringify(imported)}, ${why}`);
      };
      if (!/^\.{0,2}\//.test(imported)) {
        refuse(
          parts.modules.isBuiltIn("node:fs")
            ? "which a driver domain does not have; `xdevd plugin bundle` makes one file of it"
            : "which the small binary does not have, but only xdevd/plugin: xdevd-full has the " +
              "runtime's modules (node:…), and its `plugin bundle` makes one file of packages",
        );
      }
      if (sha256 !== undefined) refuse("which its SHA-256 does not cover; bundle it");
      const target = resolve(file, imported);
      if (!files.includes(target)) files.push(target);
      if (files.length > FILES_MAX) refuse(`and more than ${FILES_MAX} files in all; bundle it`);
    }
  }
}

function importsOf({ modules }: ModuleHostParts, file: string, text: string): string[] {
  if (!/\.(ts|js|mjs)$/.test(file)) return [];
  try {
    return modules.importsOf(file, text);
  } catch (error) {
    const { line } = syntaxPlace(error) ?? {};
    const where = line === undefined ? "" : ` (${file.slice(file.lastIndexOf("/") + 1)}:${line})`;
    throw new PluginRefused(`plugin ${file} cannot be parsed: ${firstLine(error)}${where}`);
  }
}

function resolve(from: string, specifier: string): string {
  // As a URL: what follows ? or # is no part of the path.
  const path = decodeURIComponent(specifier.replace(/[?#].*$/s, ""));
  const parts = path.startsWith("/") ? [] : from.split("/").slice(0, -1);
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.filter((part) => part !== "").join("/")}`;
}

function firstLine(error: unknown): string {
  const { errors } = error as { errors?: unknown[] };
  const first = Array.isArray(errors) && errors.length > 0 ? errors[0] : error;
  return (first instanceof Error ? first.message : String(first)).split("\n")[0]!;
}
