/** The command line of `xdevd devd`. */
import { type Command, InvalidArgumentError, Option } from "../line/command.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { DEFAULT_PATH } from "../../core/hotplug/defaults.ts";
import { type TimeName, TIMES } from "../../core/xen/times.ts";
import { LOG_FORMATS, LOG_LEVELS } from "../../core/log/levels.ts";
import { absoluteFile } from "../../platform/self.ts";
import { DEVICE_RULE, deviceText, scriptsOption, seconds } from "../arguments.ts";
import { configOption, kindOption, pluginOption, pluginsOption } from "../plugin/options.ts";
import type { DevdOptions } from "./devd.ts";

/** Log file of the daemon; the stock daemon's, so that log rotation finds it. */
const DEFAULT_LOG = "/var/log/xen/xldevd.log";

/** Adds it. */
export function addDevd(
  program: Command,
  storeOption: () => Option,
  builtIns: readonly BuiltIn[],
  args: readonly string[],
  finish: (status: number) => void,
): void {
  program.command("devd")
    .description("serve the devices of this driver domain (in place of `xl devd`)")
    .example("xdevd devd -F --log-level debug", "in the foreground, to see what it does")
    .example("xdevd devd -p /run/xdevd.pid", "in the background; it returns when it serves")
    .example(
      "xdevd devd -F --time hotplug=120 --drain",
      "scripts may take two minutes; told to stop, it closes all devices first",
    )
    .option("-F, --foreground", "stay in the foreground and log to the standard error")
    .addOption(
      new Option("-p, --pidfile <file>", "write the process id here").argParser(absoluteFile),
    )
    .addOption(storeOption())
    .addOption(scriptsOption())
    .option("--script-path <path>", "the PATH that scripts get", DEFAULT_PATH)
    .option("--script-timeout <s>", "the same as --time hotplug=S", seconds)
    .addOption(
      new Option("--log <file>", "log file when in the background").default(DEFAULT_LOG)
        .argParser(absoluteFile),
    )
    .addOption(
      new Option("--log-level <level>", "how much is logged").choices(LOG_LEVELS).default("info"),
    )
    .addOption(
      new Option("--log-format <format>", "lines for people, or an object each").choices(
        LOG_FORMATS,
      )
        .default("text"),
    )
    .addOption(
      new Option("--run-dir <dir>", "where the lock and the journal are").default("/run/xdevd")
        .argParser(absoluteFile),
    )
    .addOption(
      new Option("--state-dir <dir>", "what outlives a restart of the machine: vTPMs")
        .default("/var/lib/xdevd").argParser(absoluteFile),
    )
    .option("--allow-dom0", "serve domain 0 too")
    .option("--no-requests", "take no requests of toolstacks (docs/request-protocol.md)")
    .option("--drain", "close all devices when told to stop, so that guests notice")
    .addOption(
      new Option("--time <name=s>", "set a time, in seconds; may be repeated")
        .argParser(collectTime).default({}, "see docs/lifecycle.md")
        .suggest(Object.keys(TIMES).map((name) => `${name}=`)),
    )
    .addOption(pluginsOption())
    .addOption(pluginOption())
    .addOption(kindOption())
    .addOption(configOption())
    .addOption(new Option("--detached").hideHelp())
    .action(async ({ time, ...options }: DevdOptions & { time: DevdOptions["times"] }) => {
      const { devd } = await import("./devd.ts");
      finish(await devd({ ...options, times: time }, builtIns, args));
    });
  addDecisions(program, finish);
}

/** What a running daemon is asked for. */
function addDecisions(program: Command, finish: (status: number) => void): void {
  const asks = {
    "give-up": ["GiveUp", "have the daemon of this domain try no more to undo a device"],
    retry: ["Retry", "have the daemon of this domain try again at once what failed for a device"],
  } as const;
  for (const [name, [method, description]] of Object.entries(asks)) {
    program.command(name)
      .description(description)
      .example(`xdevd ${name} vbd/7/51712`, "the disk xvda of domain 7")
      .example(`xdevd ${name} vif/7/0 --run-dir /tmp/run`, "of a daemon with another run directory")
      .argument("<device>", DEVICE_RULE, deviceText)
      .addOption(
        new Option("--run-dir <dir>", "the daemon's").default("/run/xdevd").argParser(absoluteFile),
      )
      .action(async (device: string, { runDir }: { runDir: string }) => {
        finish(await (await import("./give_up.ts")).decide(method, device, runDir));
      });
  }
}

/** `NAME=SECONDS`. */
function collectTime(text: string, previous: Record<string, number>): Record<string, number> {
  const [, name = "", value = ""] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  const constant = Object.hasOwn(TIMES, name) ? TIMES[name as TimeName] : undefined;
  if (constant === undefined) {
    throw new InvalidArgumentError(
      `Expected NAME=SECONDS, NAME one of ${Object.keys(TIMES).join(", ")}.`,
    );
  }
  const ms = Number(value) * 1000;
  if (!/^\d+(\.\d+)?$/.test(value) || ms < constant.min || ms > constant.max) {
    throw new InvalidArgumentError(
      `Expected ${name} in seconds, ${constant.min / 1000} to ${constant.max / 1000}.`,
    );
  }
  return { ...previous, [name]: ms };
}
