/** The command line of `xdevd status` and `xdevd trace`. */
import { type Command, Option } from "../line/command.ts";
import { absoluteFile } from "../../platform/self.ts";
import { DEVICE_RULE, deviceText, jsonOption } from "../arguments.ts";
import type { StatusOptions, TraceOptions } from "./options.ts";

const runDirectory = () =>
  new Option("--run-dir <dir>", "the daemon's").default("/run/xdevd").argParser(absoluteFile);

/** Adds them. @param storeOption makes the option `--store` */
export function addStatus(
  program: Command,
  storeOption: () => Option,
  finish: (status: number) => void,
): void {
  program.command("status")
    .description("tell which devices this domain's daemon serves, and what is wrong")
    .example("xdevd status", "all devices, and what failed lately")
    .example("xdevd status --domain storage", "in domain 0: what a driver domain says of itself")
    .argument("[device]", DEVICE_RULE, deviceText)
    .option("--watch", "go on, and tell each change")
    .addOption(jsonOption("status"))
    .option("--domain <domain>", "what the daemon of a driver domain has published (in domain 0)")
    .addOption(runDirectory())
    .addOption(storeOption())
    .action(async (device: string | undefined, options: StatusOptions) => {
      finish(await (await import("./status.ts")).status(device, options));
    });
  program.command("trace")
    .description("tell how the last attaches and detaches of a device went, step by step")
    .example("xdevd trace vbd/7/51712", "who did what, when, and how long it took")
    .example("xdevd trace xvda --svg attach.svg", "a picture of the last attach or detach")
    .argument("<device>", DEVICE_RULE, deviceText)
    .option("--follow", "go on, and tell what happens")
    .addOption(jsonOption("trace"))
    .addOption(
      new Option("--svg <file>", "draw the last one into a file").argParser(absoluteFile),
    )
    .addOption(runDirectory())
    .action(async (device: string, options: TraceOptions) => {
      finish(await (await import("./trace.ts")).trace(device, options));
    });
}
