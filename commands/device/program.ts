/** The command line of `xdevd attach`, `block-attach` and their kin, after `xl`'s. */
import { type Command, Option } from "../line/command.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { DEFAULT_SCRIPT_DIRECTORY } from "../../core/hotplug/path_rules.ts";
import { DEFAULT_PATH } from "../../core/hotplug/run_script.ts";
import { LOG_LEVELS } from "../../core/log/log.ts";
import { absoluteFile } from "../../platform/self.ts";
import { WAIT_LEVELS } from "../../core/toolstack/await_device.ts";
import type { Force } from "../../core/toolstack/remove.ts";
import { seconds } from "../arguments.ts";
import { type AttachOptions, type DetachOptions, type DeviceOptions, VIAS } from "./session.ts";
import { configOption, kindOption, pluginOption, pluginsOption } from "../plugin/options.ts";

/** By the names of `xl`'s commands: what the device is called, in words, and how it is removed. */
const FAMILIES = {
  block: { device: "disk", words: "disk", force: "off" },
  network: { device: "vif", words: "network interface", force: "auto" },
  vtpm: { device: "vtpm", words: "virtual TPM", force: "auto" },
} as const satisfies Record<string, { device: string; words: string; force: Force }>;

/** How long an attach may take, in seconds: the kernel's 10 and a script's 40 are well within. */
const ATTACH_SECONDS = 60;

/** Adds the commands. @param storeOption makes the option `--store` */
export function addDevices(
  program: Command,
  storeOption: () => Option,
  builtIns: readonly BuiltIn[],
  finish: (status: number) => void,
): void {
  const command = (usage: string, description: string) =>
    withCommonOptions(program.command(usage).description(description), storeOption);
  const attach = (usage: string, description: string) =>
    withAttachOptions(command(usage, description));
  const runAttach = async (
    device: string,
    guest: string,
    texts: string[],
    options: AttachOptions,
  ) =>
    finish(
      await (await import("./attach.ts")).attach(device, guest, texts, options, builtIns),
    );
  const runDetach = async (
    device: string,
    guest: string,
    which: string,
    options: Given<DetachOptions>,
    force: Force,
  ) => {
    const { detach } = await import("./detach.ts");
    const chosen = { ...options, force: options.force ? "on" as const : force };
    finish(await detach(device, guest, which, chosen, builtIns));
  };
  for (const [name, { device, words, force }] of Object.entries(FAMILIES)) {
    attach(`${name}-attach <domain> <spec...>`, `give a guest a ${words}`)
      .action((guest: string, texts: string[], options: AttachOptions) =>
        runAttach(device, guest, texts, options)
      );
    withDetachOptions(command(`${name}-detach <domain> <device>`, `take a ${words} from a guest`))
      .action((guest: string, which: string, options: Given<DetachOptions>) =>
        runDetach(device, guest, which, options, force)
      );
    command(`${name}-list <domain...>`, `list the ${words}s of guests, as xl does`)
      .action(async (guests: string[], options: DeviceOptions) => {
        const { listKind } = await import("./list.ts");
        finish(await listKind(device === "disk" ? "vbd" : device, guests, options));
      });
  }
  attach("attach <device> <domain> [spec...]", "give a guest a device of any kind")
    .action(runAttach);
  withDetachOptions(
    command("detach <device> <domain> <devid>", "take a device of any kind from a guest"),
  )
    .action((device: string, guest: string, which: string, options: Given<DetachOptions>) =>
      runDetach(device, guest, which, options, "auto")
    );
  command("list [domain...]", "list all devices of guests")
    .action(async (guests: string[], options: DeviceOptions) => {
      finish(await (await import("./list.ts")).listAll(guests, options));
    });
}

/** As they come from the command line: `--force` is a switch there. */
type Given<Options extends { force: unknown }> = Omit<Options, "force"> & {
  readonly force?: boolean;
};

let collected = false;

/** What all commands for devices have. */
export function withCommonOptions(command: Command, storeOption: () => Option): Command {
  return command
    .option("--json", "for programs")
    .addOption(storeOption())
    .addOption(
      new Option("--log-level <level>", "how much is told").choices(LOG_LEVELS).default("warning"),
    )
    .addOption(
      new Option("--run-dir <dir>", "the daemon's, if it is this domain's").default("/run/xdevd")
        .argParser(absoluteFile),
    )
    .option("--scripts <dir>", "where hotplug scripts are; may be repeated", collectDirectory, [
      DEFAULT_SCRIPT_DIRECTORY,
    ])
    .option("--script-path <path>", "the PATH that scripts get", DEFAULT_PATH)
    .addOption(pluginsOption()).addOption(pluginOption()).addOption(kindOption())
    .addOption(configOption());
}

function withAttachOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--wait <level>", "until when").choices(WAIT_LEVELS).default("hotplug"),
    )
    .option("--timeout <s>", "how long, in seconds", seconds, ATTACH_SECONDS)
    .addOption(
      new Option(
        "--via <way>",
        "how the driver domain is told: auto, by a request if it takes them",
      )
        .choices(VIAS).default("stock"),
    )
    .option("--serve", "this domain is the backend: do its part, without a daemon")
    .option("-N, --dry-run", "only print what was understood, as xl does");
}

function withDetachOptions(command: Command): Command {
  return command
    .option("--force", "do not wait for the guest to let go")
    .option(
      "--timeout <s>",
      "how long it may take, in seconds (default: 10 for the guest, 10 for the driver domain)",
      seconds,
    );
}

/** The first directory given replaces the default, further ones are added. */
function collectDirectory(value: string, previous: string[]): string[] {
  const before = collected ? previous : [];
  collected = true;
  return [...before, absoluteFile(value)];
}
