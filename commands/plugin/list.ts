/** `xdevd plugin list` and `xdevd plugin info`. */
import { printable } from "../../core/log/log.ts";
import { sha256OfFile } from "../../platform/checksum.ts";
import { absoluteFile, printTo } from "../../platform/self.ts";
import type { FoundPlugin } from "../../plugins/discover.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import type { PluginManifest } from "../../contract/v1/plugin.ts";
import { settingsOf } from "../../plugins/select.ts";
import { type ErrorJson, errorJson, printJson } from "../json_output.ts";
import { CodedError, ExitCode, problemOf } from "../../core/messages/error.ts";
import { type Available, gatherPlugins, type PluginOptions, type PluginSet } from "./set.ts";

/** Prints what there is. @returns Failure when something cannot be used or decided */
export async function listPlugins(
  options: PluginOptions & { json?: boolean },
  builtIns: readonly BuiltIn[],
): Promise<number> {
  const set = await gatherPlugins(options, builtIns);
  const rows = set.available.map((plugin) => rowOf(plugin, set));
  const { conflicts } = set.selection;
  if (options.json) {
    const rejected = set.rejected.map(({ path, reason }) => ({ path, reason }));
    const reasons = [...rejected.map(({ reason }) => reason), ...conflicts];
    const failed = reasons.length > 0 ? { error: failure(reasons) } : {};
    printJson({ plugins: rows, rejected, conflicts, ...failed });
  } else {
    const cells = rows.map(({ name, version, carrier, kinds, serves, origin }) => [
      name,
      version,
      carrier,
      kinds.join(","),
      serves.join(",") || "-",
      origin,
    ]);
    printTo(1, table([["NAME", "VERSION", "CARRIER", "KINDS", "SERVES", "FROM"], ...cells]));
    for (const { reason } of set.rejected) printTo(2, `xdevd: ${printable(reason)}\n`);
    for (const conflict of conflicts) printTo(2, `xdevd: ${printable(conflict)}\n`);
  }
  return set.rejected.length + conflicts.length === 0 ? ExitCode.Success : ExitCode.Failure;
}

/** That the answer is no, for programs. */
export function failure(reasons: readonly string[]): ErrorJson {
  const [first = ""] = reasons;
  const more = reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : "";
  return errorJson(problemOf(new CodedError("failed", first + more)));
}

/** Prints what is known of one. */
export async function showPlugin(
  name: string,
  options: PluginOptions & { json?: boolean },
  builtIns: readonly BuiltIn[],
): Promise<number> {
  const { plugin, set } = await findPlugin(name, options, builtIns);
  const { manifest } = plugin;
  const row = rowOf(plugin, set);
  const sha256 = plugin.builtIn === undefined ? await sha256OfFile(plugin.origin) : undefined;
  if (options.json) {
    printJson({ ...row, sha256: sha256 ?? null, manifest });
    return ExitCode.Success;
  }
  const lines: [string, string | undefined][] = [
    ["name", manifest.name],
    ["version", manifest.version],
    ["description", manifest.description],
    ["contract", String(manifest.api)],
    ["carrier", row.carrier],
    ["kinds", manifest.kinds.join(", ")],
    ["serves", row.serves.join(", ") || "nothing (see `xdevd plugin list`)"],
    ["from", plugin.origin],
    ["sha256", sha256],
    ["frontend kind", frontendKinds(manifest)],
    ["waits for the kernel's backend", yesNo(manifest.waitsForBackend ?? true)],
  ];
  for (const [label, value] of lines) {
    if (value !== undefined) printTo(1, `${`${label}:`.padEnd(32)}${printable(value)}\n`);
  }
  return ExitCode.Success;
}

/** `vbd`, or `qdisk: vbd` where it differs from kind to kind; undefined where none does. */
function frontendKinds({ frontendKind }: PluginManifest): string | undefined {
  if (frontendKind === undefined || typeof frontendKind === "string") return frontendKind;
  return Object.entries(frontendKind).map(([kind, other]) => `${kind}: ${other}`).join(", ");
}

/** A plugin by its name or its file. @throws CodedError when there is none, or more than one */
export async function findPlugin(
  name: string,
  options: PluginOptions,
  builtIns: readonly BuiltIn[],
): Promise<{ plugin: Available; set: PluginSet }> {
  const file = name.includes("/") || name.includes(".") ? absoluteFile(name) : null;
  const set = await gatherPlugins(
    file === null ? options : { ...options, plugin: [...options.plugin ?? [], file] },
    builtIns,
  );
  const found = set.available.filter(({ manifest, origin }) =>
    file === null ? manifest.name === name : origin === file
  );
  const [plugin] = found;
  if (plugin !== undefined && found.length === 1) return { plugin, set };
  const names = [...new Set(set.available.map(({ manifest }) => manifest.name))].join(", ");
  throw new CodedError(
    "failed",
    plugin === undefined
      ? `there is no plugin ${printable(name)}; there are ${names || "none"} (a file is named by ` +
        "its path: ./FILE)"
      : `there are ${found.length} plugins ${name}: name one by its file, ` +
        found.map(({ origin }) => origin).join(" or "),
  );
}

function rowOf(plugin: Available, { selection, settings }: PluginSet) {
  const { name, version, kinds } = plugin.manifest;
  const enabled = settingsOf(plugin, settings)?.enabled ?? true;
  return {
    name,
    version,
    carrier: plugin.builtIn === undefined ? (plugin as FoundPlugin).carrier : "built-in",
    kinds,
    serves: kinds.filter((kind) => selection.byKind.get(kind) === plugin),
    enabled,
    origin: plugin.origin,
  };
}

function yesNo(value: boolean): string {
  return value ? "yes" : "no";
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    `${row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()}\n`
  ).join("");
}
