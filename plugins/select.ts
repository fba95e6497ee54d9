/** Which of the plugins that were found serves which kind. Pure. */
import type { PluginManifest } from "../contract/v1/plugin.ts";
import type { Settings } from "./settings.ts";

/** A plugin that was found. */
export interface Candidate {
  readonly manifest: PluginManifest;
  /** Its file; `built-in` for one that is compiled in. */
  readonly origin: string;
  /** Whether its file was named on the command line. */
  readonly named?: boolean;
}

/** What came of it. */
export interface Selection<C extends Candidate> {
  readonly byKind: ReadonlyMap<string, C>;
  /** What only the administrator can decide, or has decided wrongly; a line each. */
  readonly conflicts: readonly string[];
}

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
      conflicts.push(`kind ${kind} can be served by ${names(chosen)}; ${choiceOf(kind, chosen)}`);
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

/** What would settle it: the likeliest choice, or those that are equally likely. */
function choiceOf(kind: string, among: readonly Candidate[]): string {
  const likeliest = Math.max(...among.map(likelihood));
  const options = among.filter((one) => likelihood(one) === likeliest)
    .map((one) => distinctName(one, among));
  const [only] = options;
  return options.length === 1
    ? `--kind ${kind}=${only} (or [kinds] ${kind} = ${
      JSON.stringify(only)
    } in the configuration) ` +
      "says by which"
    : `${
      options.map((name) => `--kind ${kind}=${name}`).join(" or ")
    } (or the same below [kinds] ` +
      "in the configuration) says by which";
}

/** Who names a file wants it; who adds one to what is built in, likewise. */
function likelihood({ named = false, origin }: Candidate): number {
  return named ? 2 : origin === "built-in" ? 0 : 1;
}

/** Its name, or its file where others answer to the name too. */
function distinctName(one: Candidate, among: readonly Candidate[]): string {
  const { name } = one.manifest;
  return among.filter((other) => answersTo(other, name)).length === 1 ? name : one.origin;
}

function names(candidates: readonly Candidate[]): string {
  return candidates.map(({ manifest, origin }) => `${manifest.name} (${origin})`).join(" and ");
}
