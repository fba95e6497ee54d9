/** How all devices are, in lines for people. Pure. */
import type { Unanswered } from "../../core/daemon/control/report.ts";
import type { DeviceReport } from "../../core/daemon/devices.ts";
import { PHASE_WORDS } from "../../core/lifecycle/phase_words.ts";
import type { PluginHost, PluginRegistry } from "../../core/daemon/plugin/host.ts";

/** Most devices that are listed: what is the matter comes first. */
const LISTED_MAX = 1000;

/** Most of an error that is shown, in characters. */
const ERROR_MAX = 300;

/** One line for all, one for each device, and one for each call that storage does not answer. */
export function stateLines(
  reports: readonly DeviceReport[],
  held: number,
  unanswered: readonly Unanswered[] = [],
): string[] {
  const sorted = reports.map((report) => ({ report, name: report.label }))
    .sort((a, b) => rank(a.report) - rank(b.report) || compare(a.name, b.name));
  const lines = sorted.slice(0, LISTED_MAX)
    .map(({ report, name }) => `${name}: ${describe(report)}`);
  const more = reports.length - lines.length;
  return [
    `state of all devices: ${reports.length} known, ${held} set up or half so`,
    ...lines,
    ...(more > 0 ? [`… and ${more} more`] : []),
    ...unanswered.map(({ pid, call, place, silentMs }) =>
      `storage: ${place} has not answered for ${duration(silentMs)}: ${call}, process ${pid}`
    ),
  ];
}

function describe({ phase, phaseMs, busy, error, stuck }: DeviceReport): string {
  const running = busy ? "; a call of its plugin runs" : "";
  const last = error === null ? "" : `; last error: ${shown(error)}`;
  const why = stuck === null
    ? ""
    : `; stuck: undoing it failed, and is tried again until it succeeds or ` +
      `\`xdevd give-up ${stuck.name}\` ends that: ${shown(stuck.why)}`;
  return `${PHASE_WORDS[phase]}, for ${duration(phaseMs)}${running}${why}${last}`;
}

function shown(error: string): string {
  return error.length > ERROR_MAX ? `${error.slice(0, ERROR_MAX)}…` : error;
}

/** The smaller, the more somebody who asks wants to see it. */
function rank({ phase, busy, error, stuck }: DeviceReport): number {
  return error !== null || stuck !== null ? 0 : busy ? 1 : phase === "connected" ? 3 : 2;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A time for people. @param ms not negative */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return `${(ms / 1000).toFixed(1)} s`;
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 24
    ? `${hours} h ${minutes % 60} min`
    : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

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
