/** On what a device is set up, and by whom, as its record tells. Pure. */
import type { JournalEntry } from "../journal/entry.ts";
import { isVersion2 } from "../journal/held.ts";
import type { PluginHost } from "../plugin/host.ts";

/** null: not known. */
export interface Served {
  readonly target: string | null;
  /** As in `DeviceJson`. */
  readonly way: string | null;
}

/** Longest name of a script that is told, in characters. */
const NAME_MAX = 64;

/** Longest target that is told, in characters. */
const TARGET_MAX = 300;

/** What a device stands on, by the nodes of its backend directory. */
export function targetOf(nodes: Readonly<Record<string, string | undefined>>): string | null {
  const target = nodes["params"] || nodes["bridge"] || nodes["path"] || "";
  return target === "" ? null : target.slice(0, TARGET_MAX);
}

/** @param plugin whose device it is, where that is known */
export function servedIn(
  entry: JournalEntry,
  plugin?: Pick<PluginHost, "manifest" | "origin">,
): Served {
  return { target: targetOf(entry.nodes), way: wayIn(entry, plugin) };
}

function wayIn(
  { held, nodes, stage, undo }: JournalEntry,
  plugin: Pick<PluginHost, "manifest" | "origin"> | undefined,
): string | null {
  if (plugin !== undefined && plugin.origin !== "built-in") {
    return `plugin ${plugin.manifest.name}@${plugin.manifest.version}`;
  }
  if (held.deviceModel !== null || plugin?.manifest.servedByQemu === true) return "QEMU";
  const path = nodes["script"] ?? String(undo["script"] ?? "");
  const script = path.slice(path.lastIndexOf("/") + 1).slice(0, NAME_MAX);
  const by = script === "" ? "script" : `script ${script}`;
  if (isVersion2(held)) return `${by} v2`;
  if (held.script === "begun") return `${by} v1`;
  return held.script === "none" && stage === "connected" ? "native" : null;
}
