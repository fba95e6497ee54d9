/** Finds plugins: in directories, and files named on the command line. Runs none of them. */
import { isThere } from "../core/is_there.ts";
import {
  checkContract,
  HEADER_MAX,
  ManifestError,
  manifestInText,
  parseManifest,
} from "../core/daemon/plugin/manifest.ts";
import type { PluginManifest } from "../contract/v1/plugin.ts";
import { type Candidate, settingsOf } from "./select.ts";
import type { Settings } from "./settings.ts";
import { checkPluginFile, PluginRefused, type TrustParts } from "./trust.ts";

/** A plugin's file. */
export interface FoundPlugin extends Candidate {
  readonly carrier: "module" | "process";
  /** What its file must have, if the administrator demands it. */
  readonly sha256?: string;
  /** How many processes it may have, if that is set. */
  readonly processes?: number;
}

/** What was looked at and cannot be used. */
export interface Rejected {
  readonly path: string;
  /** One line that names the file. */
  readonly reason: string;
}

/** The plugins in a directory, in the order of their names. @throws SystemError */
export async function pluginsIn(
  directory: string,
  settings: Settings,
  trust: TrustParts,
): Promise<{ found: FoundPlugin[]; rejected: Rejected[] }> {
  const found: FoundPlugin[] = [];
  const rejected: Rejected[] = [];
  for (const name of (await trust.files.list(directory)).sort()) {
    if (!mayBePlugin(name)) continue;
    const path = `${directory}/${name}`;
    try {
      if ((await trust.files.stat(path)).kind !== "directory") {
        found.push(await pluginAt(path, settings, trust));
      }
    } catch (error) {
      rejected.push({ path, reason: reasonOf(path, error) });
    }
  }
  return { found, rejected };
}

/** The plugin in a file. @throws PluginRefused */
export async function pluginAt(
  path: string,
  settings: Settings,
  trust: TrustParts,
): Promise<FoundPlugin> {
  try {
    await checkPluginFile(trust, path);
    const manifest = await readManifest(path, trust);
    checkContract(manifest.api);
    const carrier = carrierOf(path, manifest);
    const candidate = { manifest, origin: path };
    const { sha256, processes, enabled = true } = settingsOf(candidate, settings) ?? {};
    const pin = sha256 === undefined ? {} : { sha256 };
    const bound = processes === undefined ? {} : { processes };
    if (enabled) {
      await checkPluginFile(trust, path, { executable: carrier === "process", ...pin });
    }
    return { ...candidate, carrier, ...pin, ...bound };
  } catch (error) {
    throw new PluginRefused(reasonOf(path, error));
  }
}

/** The manifest of a file: in its beginning, or beside it. @throws ManifestError, SystemError */
export async function readManifest(path: string, trust: TrustParts): Promise<PluginManifest> {
  const start = await trust.files.readAt(path, 0, HEADER_MAX);
  const inside = manifestInText(new TextDecoder().decode(start));
  if (inside !== undefined) return inside;
  const beside = `${path}.json`;
  if (!await isThere(trust.files, beside)) {
    throw new ManifestError(
      `it has no manifest: no line "xdevd-plugin: {…}" in its first ${HEADER_MAX / 1024} KiB, ` +
        `and no ${beside}`,
    );
  }
  await checkPluginFile(trust, beside);
  return parseManifest(await trust.files.readText(beside));
}

/** What carries a plugin, unless its manifest says it. */
export function carrierOf(path: string, manifest: PluginManifest): "module" | "process" {
  return manifest.carrier ?? (/\.(ts|js|mjs)$/.test(path) ? "module" : "process");
}

/** What lies beside plugins: manifests, types, notes, what editors and package managers leave. */
function mayBePlugin(name: string): boolean {
  return !/^\.|~$|\.(json|d\.ts|md|txt|toml|map|dpkg-\w+|orig|bak|pyc)$|^__pycache__$/.test(name);
}

function reasonOf(path: string, error: unknown): string {
  const text = (error as Error).message;
  return error instanceof PluginRefused ? text : `plugin ${path}: ${text}`;
}
