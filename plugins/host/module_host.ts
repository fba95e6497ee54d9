/** Carries a plugin that is a module: the daemon imports it. */
import type { Modules } from "../../platform/modules.ts";
import type { PluginManifest, PluginOperations } from "../../contract/v1/plugin.ts";
import { checkContract, checkManifest, difference } from "../../core/daemon/plugin/manifest.ts";
import { checkPluginFile, PluginRefused, type TrustParts } from "../trust.ts";
import { checkOperations } from "../../core/daemon/plugin/guard.ts";
import { isMistake, located, placeOf, syntaxPlace } from "./place.ts";
import type { PluginHost } from "../../core/daemon/plugin/host.ts";

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
    loaded ??= load(path, manifest, parts, sha256).then(
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

async function load(
  path: string,
  manifest: PluginManifest,
  parts: ModuleHostParts,
  sha256: string | undefined,
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
        refuse("which a driver domain does not have; `xdevd plugin bundle` makes one file of it");
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
