/** The administrator's word on plugins, from the configuration file. Pure. */
import { parse, TomlError } from "smol-toml";
import { isKind } from "../core/xen/device_id.ts";
import type { ForcedVersions, ScriptVersion } from "../core/hotplug/v2/version.ts";
import type { Setting } from "../contract/v1/plugin.ts";

/** Settings of one plugin. */
export interface PluginSettings {
  readonly enabled: boolean;
  /** SHA-256 of its file, 64 hexadecimal digits in lower case; undefined if none is demanded. */
  readonly sha256?: string;
  /** How many processes and threads a process plugin may have. */
  readonly processes?: number;
  /** What the plugin itself is told. */
  readonly settings?: Readonly<Record<string, Setting>>;
}

/** Most that can be set. */
const PROCESSES_LIMIT = 32_768;

/** What the configuration file says. */
export interface Settings {
  /** The file and its text; undefined when there is none. */
  readonly source?: { readonly path: string; readonly text: string };
  /** By kind: which plugin serves it, by name or by path, or `built-in`. */
  readonly kinds: ReadonlyMap<string, string>;
  /** By name or path. */
  readonly plugins: ReadonlyMap<string, PluginSettings>;
  /** Which version of the interface hotplug scripts follow, by name or path. */
  readonly scripts: ForcedVersions;
}

/** What holds without a file. */
export const NO_SETTINGS: Settings = {
  kinds: new Map(),
  plugins: new Map(),
  scripts: new Map(),
};

/** The file is wrong; the message says where and what would be accepted. */
export class SettingsError extends Error {
  override name = "SettingsError";
}

/** Longest text of which the place of an error is looked for, in lines. */
const LINES_MAX = 1000;

/**
 * Reads the file's text (TOML).
 * @throws SettingsError that begins with the line, where it can be told
 */
export function parseSettings(text: string): Settings {
  try {
    return settingsIn(text);
  } catch (error) {
    if (error instanceof TomlError) {
      const why = error.message.split("\n")[0];
      throw new SettingsError(`line ${error.line}, column ${error.column}: ${why}`);
    }
    if (!(error instanceof SettingsError)) throw error;
    const { message } = error;
    const line = firstLine(text, (part) => problemOf(part) === message);
    throw line === undefined ? error : new SettingsError(`line ${line}: ${message}`);
  }
}

/**
 * The first line with which something is true of the text up to its end, from 1; undefined when it
 * is true of none, or the text is very long.
 * @param isTrue may throw for what is no whole text
 */
export function firstLine(text: string, isTrue: (part: string) => boolean): number | undefined {
  const lines = text.split("\n");
  if (lines.length > LINES_MAX) return undefined;
  for (let line = 1; line <= lines.length; line++) {
    try {
      if (isTrue(lines.slice(0, line).join("\n"))) return line;
    } catch {
      // It ends in the middle of something.
    }
  }
  return undefined;
}

function problemOf(text: string): string | null {
  try {
    settingsIn(text);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** @throws TomlError, SettingsError */
function settingsIn(text: string): Settings {
  const { kinds = {}, plugins = {}, scripts = {}, ...others } = parse(text);
  refuseOthers(others, "", "[kinds], [plugins.NAME] and [scripts.NAME]");
  return {
    kinds: new Map(Object.entries(table(kinds, "kinds")).map(kindChoice)),
    plugins: new Map(Object.entries(table(plugins, "plugins")).map(pluginSettings)),
    scripts: new Map(Object.entries(table(scripts, "scripts")).map(scriptVersion)),
  };
}

function scriptVersion([name, value]: [string, unknown]): [string, ScriptVersion] {
  const where = `[scripts.${JSON.stringify(name)}]`;
  if (name === "" || (name.includes("/") && !name.startsWith("/"))) {
    throw new SettingsError(`${where}: expected a script's name, or its absolute path`);
  }
  const { version, ...others } = table(value, where);
  refuseOthers(others, `${where} `, "version");
  if (version === 1 || version === 2) return [name, version];
  throw new SettingsError(`${where} version is ${JSON.stringify(version)}; expected 1 or 2`);
}

function kindChoice([kind, plugin]: [string, unknown]): [string, string] {
  if (!isKind(kind)) {
    throw new SettingsError(`[kinds] has ${JSON.stringify(kind)}; expected a backend kind`);
  }
  if (typeof plugin !== "string" || plugin === "") {
    throw new SettingsError(
      `[kinds] ${kind} is ${JSON.stringify(plugin)}; expected a plugin's name, its path, ` +
        'or "built-in"',
    );
  }
  return [kind, plugin];
}

function pluginSettings([name, value]: [string, unknown]): [string, PluginSettings] {
  const where = `[plugins.${name}]`;
  const { enabled = true, sha256, processes, settings: own, ...others } = table(value, where);
  refuseOthers(others, `${where} `, "enabled, sha256, processes and settings");
  if (typeof enabled !== "boolean") {
    throw new SettingsError(
      `${where} enabled is ${JSON.stringify(enabled)}; expected true or false`,
    );
  }
  const settings = {
    enabled,
    ...(sha256 === undefined ? {} : { sha256: digest(sha256, where) }),
    ...(processes === undefined ? {} : { processes: count(processes, where) }),
    ...(own === undefined ? {} : { settings: ownSettings(own, where) }),
  };
  return [name, settings];
}

function digest(value: unknown, where: string): string {
  if (typeof value === "string" && /^[0-9a-fA-F]{64}$/.test(value)) return value.toLowerCase();
  throw new SettingsError(
    `${where} sha256 is ${JSON.stringify(value)}; expected 64 hexadecimal digits`,
  );
}

function ownSettings(value: unknown, where: string): Record<string, Setting> {
  const settings = table(value, `${where} settings`);
  for (const [name, setting] of Object.entries(settings)) {
    if (isSetting(setting)) continue;
    throw new SettingsError(
      `[plugins.…settings] ${name} is ${JSON.stringify(setting)}; expected a text, a number, ` +
        "true or false, or a list of texts",
    );
  }
  return settings as Record<string, Setting>;
}

function isSetting(value: unknown): value is Setting {
  return ["string", "number", "boolean"].includes(typeof value) ||
    Array.isArray(value) && value.every((one) => typeof one === "string");
}

function count(value: unknown, where: string): number {
  if (Number.isInteger(value) && value as number >= 1 && value as number <= PROCESSES_LIMIT) {
    return value as number;
  }
  throw new SettingsError(
    `${where} processes is ${JSON.stringify(value)}; expected a number, 1 to ${PROCESSES_LIMIT}`,
  );
}

function table(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new SettingsError(`${where} is ${JSON.stringify(value)}; expected a table`);
}

function refuseOthers(others: Record<string, unknown>, where: string, accepted: string): void {
  const [name] = Object.keys(others);
  if (name === undefined) return;
  throw new SettingsError(`${where}${name} is unknown; expected ${accepted}`);
}
