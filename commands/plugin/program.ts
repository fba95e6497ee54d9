/** The command line of `xdevd plugin`, and the options that choose plugins. */
import { type Command, InvalidArgumentError, Option } from "../line/command.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { PLUGIN_DIRECTORIES } from "../../plugins/discover.ts";
import { DEFAULT_CONFIG } from "../../plugins/select.ts";
import { isKind } from "../../core/xen/device_id.ts";
import { absoluteFile } from "../../platform/self.ts";
import { secondsUpTo } from "../arguments.ts";
import type { CheckOptions } from "./check.ts";
import type { PluginOptions } from "./set.ts";

export function pluginsOption(): Option {
  return new Option(
    "--plugins <dir>",
    `where plugins are; may be repeated (default: ${PLUGIN_DIRECTORIES.join(", ")})`,
  ).argParser(collectPath);
}

export function pluginOption(): Option {
  return new Option("--plugin <file>", "a plugin to use besides; may be repeated")
    .argParser(collectPath);
}

/** Which plugin is meant. */
export function kindOption(): Option {
  return new Option(
    "--kind <kind=plugin>",
    "which plugin serves a kind, by name or path; may be repeated",
  ).argParser((text: string, previous: Record<string, string> = {}) => {
    const [, kind = "", plugin = ""] = /^([^=]*)=(.+)$/.exec(text) ?? [];
    if (!isKind(kind)) {
      throw new InvalidArgumentError("Expected KIND=PLUGIN, such as vbd=my-disks.");
    }
    return { ...previous, [kind]: plugin };
  });
}

export function configOption(): Option {
  return new Option("--config <file>", `configuration (default: ${DEFAULT_CONFIG}, if it is there)`)
    .argParser(absoluteFile);
}

function collectSetting(
  text: string,
  previous: Record<string, string> = {},
): Record<string, string> {
  const [, name = "", value = ""] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  if (name === "") throw new InvalidArgumentError("Expected NAME=VALUE.");
  return { ...previous, [name]: value };
}

function collectPath(text: string, previous: string[] = []): string[] {
  return [...previous, absoluteFile(text)];
}

/** `xdevd plugin …`. */
export function addPlugin(
  program: Command,
  builtIns: readonly BuiltIn[],
  finish: (status: number) => void,
): void {
  const plugin = program.command("plugin").description("tools for plugins and their authors");
  const sub = (usage: string, description: string) =>
    plugin.command(usage).description(description);
  const choosing = (usage: string, description: string) =>
    sub(usage, description).addOption(pluginsOption()).addOption(pluginOption())
      .addOption(kindOption()).addOption(configOption());
  choosing("list", "the plugins that the daemon would find, and which serves what")
    .option("--json", "for programs")
    .action(async (options: PluginOptions & { json?: boolean }) => {
      const { listPlugins } = await import("./list.ts");
      finish(await listPlugins(options, builtIns));
    });
  choosing("info <plugin>", "what a plugin (a name or a file) says of itself; runs nothing of it")
    .option("--json", "for programs")
    .action(async (name: string, options: PluginOptions & { json?: boolean }) => {
      const { showPlugin } = await import("./list.ts");
      finish(await showPlugin(name, options, builtIns));
    });
  choosing("check <plugin>", "run the conformance suite on a plugin (a name or a file)")
    .option("--only <rule>", "this rule only; may be repeated", (rule, before: string[] = []) => [
      ...before,
      rule,
    ])
    .option("--set <name=value>", "a setting of the plugin; may be repeated", collectSetting)
    .option(
      "--time-limit <s>",
      "how long each call may take, in seconds (default: 8)",
      secondsUpTo(3600),
    )
    .option("--host-network", "with the machine's network rather than one of its own")
    .option("--json", "for programs")
    .action(async (name: string, options: CheckOptions) => {
      const { checkPlugin } = await import("./check.ts");
      finish(await checkPlugin(name, options, builtIns));
    });
  plugin.command("check-rules <order>", { hidden: true })
    .action(async (order: string) => {
      const { runRules } = await import("./check_rules.ts");
      finish(await runRules(order, builtIns));
    });
  sub("new <name>", "write a plugin to start from")
    .addOption(
      new Option(
        "--carrier <carrier>",
        "a module (TypeScript; of the small binary: JavaScript), or a program (Python)",
      )
        .choices(["module", "process"]).default("module"),
    )
    .option("--kind <kind>", "the backend kind it serves (default: its name)")
    .option("--dir <dir>", "where to write it", absoluteFile, absoluteFile("."))
    .action(
      async (
        name: string,
        options: { carrier: "module" | "process"; kind?: string; dir: string },
      ) => {
        const { newPlugin } = await import("./new.ts");
        finish(await newPlugin(name, options, builtIns));
      },
    );
  sub("bundle <file>", "make one file of a module and all it imports")
    .requiredOption("-o, --output <file>", "the file to write", absoluteFile)
    .action(async (file: string, { output }: { output: string }) => {
      const { bundlePlugin } = await import("./bundle.ts");
      finish(await bundlePlugin(absoluteFile(file), output));
    });
}
