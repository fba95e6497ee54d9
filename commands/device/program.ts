/** The command line of `xdevd attach`, `block-attach` and their kin, after `xl`'s. */
import { type Command, type Example, Option } from "../line/command.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { DEFAULT_PATH } from "../../core/hotplug/defaults.ts";
import { LOG_LEVELS } from "../../core/log/levels.ts";
import { absoluteFile } from "../../platform/self.ts";
import { WAIT_LEVELS } from "../../core/toolstack/wait_levels.ts";
import type { Force } from "../../core/toolstack/remove.ts";
import { scriptsOption, seconds, storeCommand } from "../arguments.ts";
import { type AttachOptions, type DetachOptions, type ListOptions } from "./session.ts";
import { VIAS } from "./vias.ts";
import { configOption, kindOption, pluginOption, pluginsOption } from "../plugin/options.ts";

/** A kind of devices that has commands of its own. */
interface Family {
  /** What the device is called. */
  readonly device: string;
  readonly words: string;
  /** How it is removed. */
  readonly force: Force;
  readonly attach: readonly [Example, Example, ...Example[]];
  readonly detach: readonly [Example, Example];
}

/** By the names of `xl`'s commands. */
const FAMILIES: Readonly<Record<string, Family>> = {
  block: {
    device: "disk",
    words: "disk",
    force: "off",
    attach: [
      [
        "xdevd block-attach web vdev=xvdb,backend=storage,target=/dev/vg/web",
        "a volume of the driver domain storage, as xvdb of the guest web",
      ],
      [
        "xdevd block-attach 7 vdev=xvdc,access=ro,target=/images/tools.img --wait connected",
        "an image here, which the guest may only read; wait until it uses it",
      ],
      [
        "xdevd block-attach --any-guest vdev=xvda --serve --timeout 30",
        "in a driver domain without a daemon: serve the root disk that the toolstack asks for",
      ],
    ],
    detach: [
      ["xdevd block-detach web xvdb", "when the guest lets go of it"],
      ["xdevd block-detach 7 51728 --force", "by its number, and without asking the guest"],
    ],
  },
  network: {
    device: "vif",
    words: "network interface",
    force: "auto",
    attach: [
      [
        "xdevd network-attach web bridge=xenbr0 backend=net",
        "on a bridge of the driver domain net",
      ],
      [
        "xdevd network-attach 7 mac=00:16:3e:00:00:07 bridge=xenbr0 --json",
        "with an address; print what was made",
      ],
    ],
    detach: [
      ["xdevd network-detach web 0", "the first one"],
      ["xdevd network-detach web 00:16:3e:00:00:07", "by its address"],
    ],
  },
  vtpm: {
    device: "vtpm",
    words: "virtual TPM",
    force: "auto",
    attach: [
      ["xdevd vtpm-attach web backend=vtpm", "served by the domain vtpm"],
      [
        "xdevd vtpm-attach web backend=vtpm,uuid=01234567-89ab-cdef-0123-456789abcdef",
        "one that was there before, by its UUID",
      ],
    ],
    detach: [
      ["xdevd vtpm-detach web 0", "the first one"],
      ["xdevd vtpm-detach web 0 --timeout 5", "and wait for at most 5 s"],
    ],
  },
};

/** What some options are for. */
const SERVING = "Where the backend is this domain:";

/** How long an attach may take, in seconds: the kernel's 10 and a script's 40 are well within. */
const ATTACH_SECONDS = 60;

/** Adds the commands. @param storeOption makes the option `--store` */
export function addDevices(
  program: Command,
  storeOption: () => Option,
  builtIns: readonly BuiltIn[],
  finish: (status: number) => void,
): void {
  const command = (
    schema: string,
    usage: string,
    description: string,
    ...examples: readonly Example[]
  ) => storeCommand(program, storeOption, schema, usage, description, ...examples);
  const attach = (usage: string, description: string, ...examples: readonly Example[]) =>
    withServingOptions(withAttachOptions(command("attach", usage, description, ...examples)));
  const detach = (usage: string, description: string, ...examples: readonly Example[]) =>
    withServingOptions(withDetachOptions(command("detach", usage, description, ...examples)));
  const runAttach = async (
    device: string,
    guest: string | undefined,
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
  for (const [name, { device, words, force, ...examples }] of Object.entries(FAMILIES)) {
    attach(`${name}-attach <domain> <spec...>`, `give a guest a ${words}`, ...examples.attach)
      .action((guest: string | undefined, texts: string[], options: AttachOptions) =>
        runAttach(device, guest, texts, options)
      );
    detach(
      `${name}-detach <domain> <device>`,
      `take a ${words} from a guest`,
      ...examples.detach,
    )
      .action((guest: string, which: string, options: Given<DetachOptions>) =>
        runDetach(device, guest, which, options, force)
      );
    command(
      "list",
      `${name}-list <domain...>`,
      `list the ${words}s of guests, as xl does`,
      [`xdevd ${name}-list web`, "those of the guest web"],
      [`xdevd ${name}-list web 7 --json`, "those of two guests, for a program"],
    )
      .action(async (guests: string[], options: ListOptions) => {
        const { listKind } = await import("./list.ts");
        finish(await listKind(device === "disk" ? "vbd" : device, guests, options));
      });
  }
  attach(
    "attach <device> <domain> [spec...]",
    "give a guest a device of any kind",
    ["xdevd attach p9 web path=/srv/share,security_model=none,tag=share", "a shared directory"],
    ["xdevd attach disk web vdev=xvdb,target=/dev/vg/web -N", "only print what was understood"],
  )
    .action(runAttach);
  detach(
    "detach <device> <domain> <devid>",
    "take a device of any kind from a guest",
    ["xdevd detach p9 web 0", "the first of its shared directories"],
    ["xdevd detach disk web xvdb --timeout 30", "a disk; it may take half a minute"],
  )
    .action((device: string, guest: string, which: string, options: Given<DetachOptions>) =>
      runDetach(device, guest, which, options, "auto")
    );
  command(
    "list",
    "list [domain...]",
    "list all devices of guests",
    ["xdevd list", "those of all guests"],
    [
      "xdevd list web --json | jq -r '.[] | select(.state != \"connected\") | .name'",
      "what of the guest web does not work",
    ],
  )
    .action(async (guests: string[], options: ListOptions) => {
      finish(await (await import("./list.ts")).listAll(guests, options));
    });
}

/** As they come from the command line: `--force` is a switch there. */
type Given<Options extends { force: unknown }> = Omit<Options, "force"> & {
  readonly force?: boolean;
};

/** What the commands have that do the backend's part, where that is this domain. */
export function withServingOptions(command: Command): Command {
  const options = [
    new Option("--log-level <level>", "how much is told").choices(LOG_LEVELS).default("warning"),
    new Option("--run-dir <dir>", "the daemon's").default("/run/xdevd").argParser(absoluteFile),
    scriptsOption(),
    new Option("--script-path <path>", "the PATH that scripts get").default(DEFAULT_PATH),
    ...[pluginsOption(), pluginOption(), kindOption(), configOption()],
  ];
  for (const option of options) command.addOption(option.helpGroup(SERVING));
  return command;
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
    .addOption(
      new Option(
        "--any-guest",
        "with --serve, in place of the domain: the first guest that has no such device yet",
      ).inPlaceOf("domain"),
    )
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
