/** `xdevd plugin check`: has the conformance suite run in a process of its own, and reports. */
import { systemClock } from "../../platform/clock.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { enterNamespaces } from "../../platform/linux/namespaces.ts";
import { makeLink, systemNetworkLinks } from "../../platform/linux/network_links.ts";
import { adoptOrphans } from "../../platform/linux/process_table.ts";
import { makeTemporaryDirectory } from "../../platform/io/place_files.ts";
import { startReportingChild } from "../../platform/io/reporting_child.ts";
import {
  commandLine,
  effectiveUid,
  environment,
  onTermination,
  printAnyway,
  processId,
} from "../../platform/self.ts";
import { printable } from "../../core/log/log.ts";
import type { FoundPlugin } from "../../plugins/discover.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { clean, strangeLoops, takeGround } from "../../simulation/plugin_check/clean.ts";
import { Keeper, type Outcome } from "../../simulation/plugin_check/keeper.ts";
import {
  type Isolation,
  OPERATION_MS,
  RIG_BRIDGE,
  RIG_VARIABLE,
} from "../../simulation/plugin_check/rig.ts";
import type { Verdict } from "../../simulation/plugin_check/rule.ts";
import { RULES } from "../../simulation/plugin_check/suite.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import type { RulesOrder } from "./check_rules.ts";
import { printJson } from "../json_output.ts";
import { failure, findPlugin } from "./list.ts";
import type { Available, PluginOptions } from "./set.ts";

export interface CheckOptions extends PluginOptions {
  readonly json?: boolean;
  readonly only?: readonly string[];
  readonly timeLimit?: number;
  readonly set?: Readonly<Record<string, string>>;
  /** Whether the plugin sees the machine's network rather than one of its own. */
  readonly hostNetwork?: boolean;
}

/** Tells the program that is started again what it has: `mounts`, or `mounts network`. */
const NAMESPACES = "XDEVD_CHECK_NAMESPACES";

/** How long the process may give no sign of life, and the plugin do nothing new, in ms, besides the
 * time that a call may take, once and twice. */
const SILENT_MS = 10_000;
const STUCK_MS = 60_000;

/** Of the addresses that are Xen's to give (OUI 00:16:3e). */
const BRIDGE_MAC = "00:16:3e:00:00:fe";

/** Checks a plugin and prints a report. @returns Failure when a rule does not hold, or was not run */
export async function checkPlugin(
  name: string,
  options: CheckOptions,
  builtIns: readonly BuiltIn[],
): Promise<number> {
  const rules = chosenRules(options.only);
  const { plugin } = await findPlugin(name, options, builtIns);
  const { manifest, origin } = plugin;
  checkSettings(plugin, options.set);
  const root = effectiveUid() === 0;
  if (manifest.sample?.needsRoot && !root) {
    throw new CodedError(
      "not-permitted",
      `plugin ${manifest.name} can be checked only as root: its sample says so (needsRoot), since ` +
        "it attaches loop devices, say, or makes interfaces ports of a bridge",
    );
  }
  const isolation = await isolate(root, options.hostNetwork ?? false);
  if (isolation.network) {
    await makeLink(RIG_BRIDGE);
    // Of its own, since one that it takes from its ports changes with them.
    await systemNetworkLinks.setMac(RIG_BRIDGE, BRIDGE_MAC);
    for (const link of ["lo", RIG_BRIDGE]) await systemNetworkLinks.setUp(link);
  }
  await adoptOrphans();
  const directory = makeTemporaryDirectory("xdevd-check-");
  const groups = `xdevd-check-${processId()}-`;
  const ground = await takeGround(directory, groups, isolation);
  const print = (text: string) => options.json || printAnyway(1, text);
  print(`${manifest.name} ${manifest.version} (${origin}), kind ${manifest.kinds[0]}\n`);
  print(`${described(isolation)}\n\n`);
  const operationMs = options.timeLimit === undefined ? OPERATION_MS : options.timeLimit * 1000;
  const { json: _json, only: _only, timeLimit: _limit, set = {}, ...choosing } = options;
  let processes = 0;
  const keeper = new Keeper(rules, {
    clock: systemClock,
    silentMs: operationMs + SILENT_MS,
    stuckMs: 2 * operationMs + STUCK_MS,
    claimOf: (rule) => RULES.find((one) => one.name === rule)?.claim ?? "",
    clean: (runs) => clean(ground, runs),
    done: (verdict, log) => print(reportOf(verdict, log)),
    async start(left, heard) {
      // Each process has its own: nothing of the one before is found there.
      const own = `${directory}/${++processes}`;
      await systemFiles.makeDirectory(own, 0o700);
      const order: RulesOrder = {
        ...{ plugin: name, options: choosing, set, rules: left, groups, isolation, operationMs },
        directory: own,
      };
      return await startReportingChild({
        args: ["plugin", "check-rules", JSON.stringify(order)],
        variables: { [RIG_VARIABLE]: directory },
        ...heard,
      });
    },
  });
  const unhook = onTermination((signal) => keeper.stop(`it was told to stop (${signal})`));
  const outcome = await keeper.run();
  unhook();
  const left = [...outcome.cleaned.left, ...await removeDirectory(directory)];
  return conclude(plugin, options, { ...outcome, cleaned: { ...outcome.cleaned, left } }, {
    strange: await strangeLoops(ground),
    print,
  });
}

/** @throws CodedError when there is no such rule */
function chosenRules(only: readonly string[] | undefined): string[] {
  const names = RULES.map((rule) => rule.name);
  const unknown = (only ?? []).find((rule) => !names.includes(rule));
  if (unknown !== undefined) {
    throw new CodedError(
      "usage",
      `there is no rule ${printable(unknown)}; there are ${names.join(", ")}`,
    );
  }
  return names.filter((rule) => only?.includes(rule) ?? true);
}

/** @throws CodedError when there is a setting that the plugin does not have */
function checkSettings({ manifest }: Available, set: CheckOptions["set"] = {}): void {
  const known = Object.keys(manifest.settings ?? {});
  const unknown = Object.keys(set).find((setting) => !known.includes(setting));
  if (unknown === undefined) return;
  throw new CodedError(
    "usage",
    `plugin ${manifest.name} has no setting ${printable(unknown)}; it has ${
      known.join(", ") || "none"
    }`,
  );
}

/** Starts this program again in namespaces of its own, where that can be; then it has them. */
async function isolate(root: boolean, hostNetwork: boolean): Promise<Surroundings> {
  const has = environment(NAMESPACES)?.split(" ");
  if (has !== undefined) {
    return { root, mounts: has.includes("mounts"), network: has.includes("network"), why: "" };
  }
  if (!root) return { root, mounts: false, network: false, why: "not root" };
  const network = !hostNetwork;
  const variables = { [NAMESPACES]: network ? "mounts network" : "mounts" };
  const why = await enterNamespaces(commandLine(), variables, { network });
  return { root, mounts: false, network: false, why };
}

interface Surroundings extends Isolation {
  readonly root: boolean;
  /** Why there are no namespaces; empty where there are. */
  readonly why: string;
}

function described({ root, mounts, network, why }: Surroundings): string {
  if (!root) {
    return "not root: nothing can be mounted, no loop device attached, no interface made or changed; " +
      "a plugin that does so fails here";
  }
  if (!mounts) {
    return `as root, but no namespaces of its own (${why}): it has the machine's mounts and ` +
      "interfaces, and what it mounts is seen by all";
  }
  return network
    ? `as root: with loop devices; mounts and interfaces are its own (a bridge ${RIG_BRIDGE}; ` +
      "--host-network: the machine's interfaces)"
    : "as root: with loop devices; mounts are its own, interfaces the machine's";
}

/** @returns what is left, a line each: also if something is still mounted there */
async function removeDirectory(directory: string): Promise<string[]> {
  try {
    await systemFiles.remove(directory);
    return [];
  } catch (error) {
    return [`${directory} (${(error as Error).message})`];
  }
}

function conclude(
  plugin: Available,
  { json }: CheckOptions,
  { verdicts, notRun, why, cleaned: { removed, left } }: Outcome,
  { strange, print }: { strange: readonly string[]; print(text: string): void },
): number {
  const failed = verdicts.filter(({ faults }) => faults.length > 0);
  const passed = failed.length === 0 && notRun.length === 0 && left.length === 0;
  const { manifest, origin } = plugin;
  if (json) {
    const rules = verdicts.map(({ ms, ...rule }) => ({ ...rule, durationMs: Math.round(ms) }));
    const rest = { notRun, why: why || null, removed, left };
    const reasons = [
      ...failed.map(({ rule, faults }) => `${rule}: ${faults[0]}`),
      ...notRun.map((rule) => `${rule}: not run, since ${why}`),
      ...left.map((what) => `left, and could not be taken away: ${what}`),
    ];
    const error = passed ? {} : { error: failure(reasons) };
    printJson({ plugin: manifest.name, origin, passed, rules, ...rest, ...error });
  }
  const list = (names: readonly string[]) => names.map(printable).join(", ");
  print("\n");
  if (removed.length > 0) print(`taken away after it: ${list(shortened(removed))}\n`);
  if (left.length > 0) print(`LEFT, and could not be taken away: ${list(left)}\n`);
  if (strange.length > 0) {
    print(
      `new since the check began, its own or somebody else's, so left alone: ${list(strange)}\n`,
    );
  }
  if (notRun.length > 0) print(`not run, since ${printable(why)}: ${list(notRun)}\n`);
  const carried = (plugin as FoundPlugin).carrier ?? "built-in";
  const rest = notRun.length === 0 ? "" : `, ${notRun.length} not run`;
  print(
    `${verdicts.length - failed.length} passed, ${failed.length} failed${rest} (${carried})\n`,
  );
  return passed ? ExitCode.Success : ExitCode.Failure;
}

/** Things by their kinds where there are many. */
function shortened(things: readonly string[]): string[] {
  if (things.length <= 3) return [...things];
  const counts = new Map<string, number>();
  for (const thing of things) {
    const kind = /^(loop device|network interface|\w+)/.exec(thing)?.[0] ?? thing;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const plural = (kind: string) => kind.endsWith("s") ? `${kind}es` : `${kind}s`;
  return [...counts].map(([kind, count]) => `${count} ${count === 1 ? kind : plural(kind)}`);
}

function reportOf({ rule, claim, faults, ms }: Verdict, log: readonly string[]): string {
  const sign = faults.length === 0 ? "ok    " : "FAILED";
  const lines = [`${sign}  ${rule.padEnd(20)}${claim} (${ms.toFixed(0)} ms)`];
  for (const fault of faults) lines.push(`        ${printable(fault)}`);
  if (faults.length > 0) {
    for (const line of log) lines.push(`          log: ${printable(line)}`);
  }
  return `${lines.join("\n")}\n`;
}
