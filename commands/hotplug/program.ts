/** The command line of `xdevd prepare` and its like. */
import { type Command, type Example, InvalidArgumentError, Option } from "../line/command.ts";
import { DOMID_MAX, parseDomid } from "../../core/xen/device_id.ts";
import { parseVdev, VDEV_RULE } from "../../core/toolstack/specs/disk/vdev.ts";
import { DEFAULT_SCRIPT_DIRECTORY } from "../../core/hotplug/defaults.ts";
import { DEFAULT_PATH } from "../../core/hotplug/defaults.ts";
import { LOG_LEVELS } from "../../core/log/levels.ts";
import { absoluteFile } from "../../platform/self.ts";
import { seconds } from "../arguments.ts";
import type { HotplugOptions, HotplugVerb } from "./hotplug.ts";
import { configOption } from "../plugin/options.ts";

/** What each does, and two examples. */
const VERBS: Readonly<Record<HotplugVerb, readonly [string, Example, Example]>> = {
  "prepare": [
    "have a version 2 block script do ahead what takes long, for an attach to come",
    [
      "xdevd prepare 7 xvda iqn.2001-05.com.example:disk --script block-iscsi",
      "connect with the storage of guest 7's disk, before the guest is started",
    ],
    [
      "xdevd prepare 7 xvdb tank/web --script /opt/block-zfs --scripts /opt --timeout 300",
      "by a script of your own, which may take five minutes",
    ],
  ],
  "unprepare": [
    "undo `prepare`, when no attach came",
    ["xdevd unprepare 7 xvda", "give up what was prepared for guest 7's disk"],
    ["xdevd unprepare 7 51712", "the same, by the disk's number"],
  ],
  "local-attach": [
    "make a guest's disk usable here, and print its path",
    [
      "xdevd local-attach 7 xvda iqn.2001-05.com.example:disk --script block-iscsi",
      "prepare it, too, and print something like /dev/sdc",
    ],
    ['mount "$(xdevd local-attach 7 xvda)" /mnt', "a disk that is prepared already"],
  ],
  "local-detach": [
    "undo `local-attach`",
    ["xdevd local-detach 7 xvda", "one use less; the last one ends it"],
    ["xdevd local-detach 7 51712 --log-level debug", "and tell what the script says"],
  ],
};

/** Adds the four commands. @param storeOption makes the option `--store` */
export function addHotplug(
  program: Command,
  storeOption: () => Option,
  finish: (status: number) => void,
): void {
  for (const [name, [description, ...examples]] of Object.entries(VERBS)) {
    const verb = name as HotplugVerb;
    const command = program.command(verb).description(description);
    for (const example of examples) command.example(...example);
    command
      .argument("<domid>", "of the guest", guest)
      .argument("<vdev>", VDEV_RULE, vdev)
      .argument("[target]", "what the script is to find, as in a disk specification")
      .option("--script <name>", "the script, by name or path")
      .addOption(storeOption())
      .addOption(
        new Option(
          "--scripts <dir>",
          `where hotplug scripts may be; may be repeated (default: ${DEFAULT_SCRIPT_DIRECTORY})`,
        ).argParser((dir: string, before: string[] = []) => [...before, absoluteFile(dir)]),
      )
      .option("--script-path <path>", "the PATH that scripts get", DEFAULT_PATH)
      .addOption(
        new Option("--run-dir <dir>", "the daemon's").default("/run/xdevd").argParser(absoluteFile),
      )
      .addOption(configOption())
      .addOption(
        new Option("--log-level <level>", "how much is logged").choices(LOG_LEVELS).default("info"),
      )
      .option("--timeout <s>", "how long the script may take for what is asked", seconds)
      .action(async (
        domid: number,
        devid: number,
        target: string | undefined,
        options: Omit<HotplugOptions, "domid" | "devid" | "target">,
      ) => {
        const { hotplug } = await import("./hotplug.ts");
        const given = target === undefined ? {} : { target };
        finish(await hotplug(verb, { ...options, ...given, domid, devid }));
      });
  }
}

function guest(text: string): number {
  const value = parseDomid(text);
  if (value === undefined) throw new InvalidArgumentError(`Expected a domid, 0 to ${DOMID_MAX}.`);
  return value;
}

function vdev(text: string): number {
  try {
    return parseVdev(text);
  } catch {
    throw new InvalidArgumentError(`Expected ${VDEV_RULE}.`);
  }
}
