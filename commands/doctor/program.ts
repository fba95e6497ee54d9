/** The command line of `xdevd doctor`. */
import { type Command, Option } from "../line/command.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { DEFAULT_PATH } from "../../core/hotplug/defaults.ts";
import { jsonOption, scriptsOption } from "../arguments.ts";
import { absoluteFile } from "../../platform/self.ts";
import { configOption, kindOption, pluginOption, pluginsOption } from "../plugin/options.ts";
import type { DoctorOptions } from "./here.ts";

/** Adds it. */
export function addDoctor(
  program: Command,
  storeOption: () => Option,
  builtIns: readonly BuiltIn[],
  finish: (status: number) => void,
): void {
  program.command("doctor")
    .description("say what is wrong in this driver domain, and how it is mended")
    .example("xdevd doctor", "in the driver domain, as root")
    .example("xdevd doctor --domain storage", "in domain 0: what the store tells of that domain")
    .example("xdevd doctor --root /mnt", "the image of a driver domain, mounted there")
    .addOption(jsonOption("doctor"))
    .option("--domain <domain>", "in domain 0: look at this driver domain")
    .addOption(
      new Option("--root <dir>", "look at the files below it: at an image that is mounted there")
        .argParser(rootOf),
    )
    .addOption(storeOption())
    .addOption(
      new Option("--run-dir <dir>", "the daemon's").default("/run/xdevd").argParser(absoluteFile),
    )
    .addOption(scriptsOption())
    .option("--script-path <path>", "the PATH that scripts get", DEFAULT_PATH)
    .addOption(pluginsOption()).addOption(pluginOption()).addOption(kindOption())
    .addOption(configOption())
    .action(async (options: DoctorOptions) => {
      finish(await (await import("./doctor.ts")).doctor(options, builtIns));
    });
}

/** The root itself is no other one. */
function rootOf(text: string): string {
  const path = absoluteFile(text);
  return path === "/" ? "" : path;
}
