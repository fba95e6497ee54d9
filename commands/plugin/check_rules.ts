/** `xdevd plugin check-rules`, which `plugin check` starts: runs rules, and reports how they went. */
import { located, placeOf } from "../../plugins/host/module_host.ts";
import { errorOf } from "../../core/daemon/plugin/guard.ts";
import type { BuiltIn, PluginHost } from "../../core/daemon/plugin/host.ts";
import { type CheckEvent, GO_ON } from "../../simulation/plugin_check/events.ts";
import { type Isolation, sampleSettings } from "../../simulation/plugin_check/rig.ts";
import { runSuite } from "../../simulation/plugin_check/suite.ts";
import { configureLog } from "../../core/log/log.ts";
import { systemClock } from "../../platform/clock.ts";
import { adoptOrphans } from "../../platform/linux/process_table.ts";
import { freshModules } from "../../platform/modules.ts";
import {
  keepOutputForReports,
  onUncaught,
  orders,
  report,
} from "../../platform/io/reporting_child.ts";
import { exit } from "../../platform/self.ts";
import { ExitCode } from "../../core/messages/error.ts";
import { findPlugin } from "./list.ts";
import { makeHost, type PluginOptions } from "./set.ts";

/** What it is told to do, as JSON. */
export interface RulesOrder {
  readonly plugin: string;
  readonly options: PluginOptions;
  /** Settings, in place of those of the sample and the configuration. */
  readonly set: Readonly<Record<string, string>>;
  readonly rules: readonly string[];
  readonly directory: string;
  /** How the names of its control groups begin. */
  readonly groups: string;
  readonly isolation: Isolation;
  readonly operationMs?: number;
}

/** The PATH of plugins that are checked. */
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** How often it says that it is alive, in ms. */
const BEAT_MS = 250;

/** Lines of log that are reported of a rule. */
const LOG_MAX = 500;

export async function runRules(text: string, builtIns: readonly BuiltIn[]): Promise<number> {
  const order = JSON.parse(text) as RulesOrder;
  const { directory, groups, isolation, rules, operationMs } = order;
  await keepOutputForReports();
  const tell = (event: CheckEvent) => report(JSON.stringify(event));
  const beat = () => {
    tell({ is: "beat" });
    systemClock.after(BEAT_MS, beat);
  };
  beat();
  let logged = 0;
  const log: string[] = [];
  configureLog("info", (line) => {
    log.push(line);
    if (++logged <= LOG_MAX) tell({ is: "log", line });
  });
  const found = (await findPlugin(order.plugin, order.options, builtIns)).plugin;
  const { manifest } = found;
  watchOver(found.origin, tell);
  const settings = { ...found.settings, ...sampleSettings(manifest, directory), ...order.set };
  const plugin = { ...found, settings };
  let hosts = 0;
  const fresh = async (): Promise<PluginHost> => {
    const number = ++hosts;
    const host = {
      owner: `${directory}:${number}`,
      group: `${groups}${number}`,
      path: PATH,
      answerMs: 1_000,
      places: "all" as const,
    };
    return makeHost(plugin, host, freshModules);
  };
  // So that what hides from its parents is seen.
  await adoptOrphans();
  const told = orders();
  await runSuite({
    directory,
    manifest,
    fresh,
    isolation,
    only: rules,
    log,
    now: () => systemClock.now(),
    ...(operationMs === undefined ? {} : { operationMs }),
    begin(rule) {
      logged = 0;
      tell({ is: "begin", rule });
    },
    step: (what) => tell({ is: "step", what }),
    async done(verdict) {
      tell({ is: "verdict", verdict });
      const { value } = await told.next();
      if (value !== GO_ON) exit(ExitCode.Failure);
    },
  });
  over = true;
  return ExitCode.Success;
}

/** Whether all has been done, and the process may end. */
let over = false;

/** What the plugin does outside of any call, and ending the process, is a fault, with its place. */
function watchOver(origin: string, tell: (event: CheckEvent) => void): void {
  onUncaught({
    error(thrown) {
      const { message } = errorOf(located(thrown, origin));
      tell({ is: "fault", reason: `an error that nothing catches ends its process: ${message}` });
    },
    ending(code) {
      if (over) return;
      const place = placeOf(new Error(), origin);
      const who = place === null ? "" : ` (${place})`;
      tell({ is: "fault", reason: `it ends its process with exit status ${code}${who}` });
    },
  });
}
