/** Which plugin serves which kinds, in lines for people. */
import type { PluginHost } from "../../core/daemon/plugin/host.ts";
import type { PluginRegistry } from "../../core/daemon/plugin/registry.ts";

/** A line for all that are built in, and one for each file. */
export function whoServes(registry: PluginRegistry): string[] {
  const kindsOf = new Map<PluginHost, string[]>();
  for (const kind of registry.kinds) {
    const host = registry.find(kind)!;
    kindsOf.set(host, [...kindsOf.get(host) ?? [], kind]);
  }
  const builtIn: string[] = [];
  const files: string[] = [];
  for (const [{ manifest, origin }, kinds] of kindsOf) {
    const serves = `serves ${kinds.join(", ")}`;
    if (origin === "built-in") builtIn.push(`plugin ${manifest.name} ${serves}`);
    else files.push(`plugin ${manifest.name} ${manifest.version}, ${origin}, ${serves}`);
  }
  return [...builtIn.length > 0 ? [`built in: ${builtIn.join("; ")}`] : [], ...files];
}
