/** `xdevd plugin check`: the conformance suite, and its report. */
import { freshModules } from "../platform/modules.ts";
import { systemClock } from "../platform/clock.ts";
import { systemFiles } from "../platform/files.ts";
import { environment, printTo, processId } from "../platform/self.ts";
import { configureLog, printable } from "../log/log.ts";
import type { FoundPlugin } from "../../plugins/discover.ts";
import type { BuiltIn, PluginHost } from "../../plugins/host/host.ts";
import { sampleSettings } from "../../plugins/conformance/rig.ts";
import { RULES, runSuite, type Verdict } from "../../plugins/conformance/suite.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { findPlugin } from "./plugin_list.ts";
import { makeHost, type PluginOptions } from "./plugin_set.ts";

/** The PATH of plugins that are checked. */
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Lines of log that are shown of a rule that does not hold. */
const LOG_LINES = 5;

/** Checks a plugin and prints a report. @returns Failure when a rule does not hold */
export async function checkPlugin(
  name: string,
  options: PluginOptions & {
    json?: boolean;
    only?: readonly string[];
    timeLimit?: number;
    set?: Record<string, string>;
  },
  builtIns: readonly BuiltIn[],
): Promise<number> {
  const unknown = (options.only ?? []).find((rule) => RULES.every((one) => one.name !== rule));
  if (unknown !== undefined) {
    const names = RULES.map((rule) => rule.name).join(", ");
    throw new CommandError(`there is no rule ${unknown}; there are ${names}`, ExitCode.Usage);
  }
  const found = (await findPlugin(name, options, builtIns)).plugin;
  for (const setting of Object.keys(options.set ?? {})) {
    const known = Object.keys(found.manifest.settings ?? {});
    if (known.includes(setting)) continue;
    throw new CommandError(
      `plugin ${found.manifest.name} has no setting ${setting}; it has ${
        known.join(", ") || "none"
      }`,
      ExitCode.Usage,
    );
  }
  const log: string[] = [];
  configureLog("info", (line) => log.push(line));
  const directory = `${environment("TMPDIR") ?? "/tmp"}/xdevd-check-${processId()}`;
  await systemFiles.makeDirectory(directory, 0o700);
  const plugin = {
    ...found,
    settings: {
      ...found.settings,
      ...sampleSettings(found.manifest, directory),
      ...options.set,
    },
  };
  const { manifest, origin } = plugin;
  let hosts = 0;
  const fresh = async (): Promise<PluginHost> => {
    const settings = { owner: `${directory}:${++hosts}`, path: PATH, answerMs: 1_000 };
    return makeHost(plugin, settings, freshModules);
  };
  const print = (text: string) => options.json || printTo(1, text);
  print(`${manifest.name} ${manifest.version} (${origin}), kind ${manifest.kinds[0]}\n\n`);
  let from = 0;
  let verdicts: Verdict[];
  try {
    verdicts = await runSuite({
      directory,
      manifest,
      fresh,
      log,
      now: () => systemClock.now(),
      ...(options.timeLimit === undefined ? {} : { operationMs: options.timeLimit * 1000 }),
      ...(options.only === undefined ? {} : { only: options.only }),
      done(verdict) {
        print(reportOf(verdict, log.slice(from)));
        from = log.length;
      },
    });
  } finally {
    await systemFiles.remove(directory);
  }
  const failed = verdicts.filter(({ faults }) => faults.length > 0);
  if (options.json) {
    const report = { plugin: manifest.name, origin, passed: failed.length === 0, rules: verdicts };
    printTo(1, `${JSON.stringify(report, null, 2)}\n`);
  }
  const carried = (plugin as FoundPlugin).carrier ?? "built-in";
  print(`\n${verdicts.length - failed.length} passed, ${failed.length} failed (${carried})\n`);
  return failed.length === 0 ? ExitCode.Success : ExitCode.Failure;
}

function reportOf({ rule, claim, faults, ms }: Verdict, log: readonly string[]): string {
  const sign = faults.length === 0 ? "ok    " : "FAILED";
  const lines = [`${sign}  ${rule.padEnd(20)}${claim} (${ms.toFixed(0)} ms)`];
  for (const fault of faults) lines.push(`        ${printable(fault)}`);
  if (faults.length > 0) {
    for (const line of log.slice(-LOG_LINES)) lines.push(`          log: ${line.trimEnd()}`);
  }
  return `${lines.join("\n")}\n`;
}
