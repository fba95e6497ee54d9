/** Which of the plugins that were found serves which kind. Pure. */
import type { PluginManifest } from "./contract.ts";
import type { Settings } from "./settings.ts";

/** A plugin that was found. */
export interface Candidate {
  readonly manifest: PluginManifest;
  /** Its file; `built-in` for one that is compiled in. */
  readonly origin: string;
}

/** What came of it. */
export interface Selection<C extends Candidate> {
  readonly byKind: ReadonlyMap<string, C>;
  /** What only the administrator can decide, or has decided wrongly; a line each. */
  readonly conflicts: readonly string[];
}

/** The configuration file's default place. */
export const DEFAULT_CONFIG = "/etc/xdevd/config.toml";

/**
 * Gives each kind its plugin. Two plugins for one kind, and two of one name, are a conflict unless
 * the settings say which is meant.
 */
export function selectPlugins<C extends Candidate>(
  found: readonly C[],
  settings: Settings,
): Selection<C> {
  const enabled = found.filter((candidate) => isEnabled(candidate, settings));
  const byKind = new Map<string, C>();
  const conflicts: string[] = [];
  for (const kind of new Set(enabled.flatMap(({ manifest }) => manifest.kinds))) {
    const able = enabled.filter(({ manifest }) => manifest.kinds.includes(kind));
    const choice = settings.kinds.get(kind);
    const chosen = choice === undefined ? able : able.filter((one) => answersTo(one, choice));
    const [only] = chosen;
    if (only !== undefined && chosen.length === 1) byKind.set(kind, only);
    else if (chosen.length === 0) {
      conflicts.push(
        `[kinds] ${kind} = ${JSON.stringify(choice)}, but only ${
          names(able)
        } can serve kind ${kind}`,
      );
    } else {
      const suggestion = distinctName(chosen[0]!, chosen);
      conflicts.push(
        `kind ${kind} can be served by ${names(chosen)}; [kinds] ${kind} = ` +
          `${JSON.stringify(suggestion)} in the configuration (or --kind ${kind}=${suggestion}) ` +
          "says by which",
      );
    }
  }
  for (const [kind, choice] of settings.kinds) {
    if (enabled.some(({ manifest }) => manifest.kinds.includes(kind))) continue;
    conflicts.push(
      `[kinds] ${kind} = ${JSON.stringify(choice)}, but no plugin serves kind ${kind}`,
    );
  }
  return { byKind, conflicts };
}

/** Settings for a plugin, by its path or its name. */
export function settingsOf(candidate: Candidate, settings: Settings) {
  return settings.plugins.get(candidate.origin) ?? settings.plugins.get(candidate.manifest.name);
}

function isEnabled(candidate: Candidate, settings: Settings): boolean {
  return settingsOf(candidate, settings)?.enabled ?? true;
}

function answersTo({ manifest, origin }: Candidate, name: string): boolean {
  return manifest.name === name || origin === name;
}

function distinctName(one: Candidate, among: readonly Candidate[]): string {
  const { name } = one.manifest;
  return among.filter(({ manifest }) => manifest.name === name).length === 1 ? name : one.origin;
}

function names(candidates: readonly Candidate[]): string {
  return candidates.map(({ manifest, origin }) => `${manifest.name} (${origin})`).join(" and ");
}
