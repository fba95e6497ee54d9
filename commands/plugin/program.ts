/** The command line of `xdevd plugin`. */
import { type Command, InvalidArgumentError, Option } from "../line/command.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { absoluteFile } from "../../platform/self.ts";
import { jsonOption, secondsUpTo } from "../arguments.ts";
import type { CheckOptions } from "./check.ts";
import { configOption, kindOption, pluginOption, pluginsOption } from "./options.ts";
import type { PluginOptions } from "./set.ts";

function collectSetting(
  text: string,
  previous: Record<string, string> = {},
): Record<string, string> {
  const [, name = "", value = ""] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  if (name === "") throw new InvalidArgumentError("Expected NAME=VALUE.");
  return { ...previous, [name]: value };
}

/** `xdevd plugin …`. */
export function addPlugin(
  program: Command,
  builtIns: readonly BuiltIn[],
  finish: (status: number) => void,
): void {
  const plugin = program.command("plugin").description("tools for plugins and their authors")
    .example("xdevd plugin list", "which plugin serves which kind")
    .example("xdevd plugin new my-disks", "write one to start from");
  const sub = (usage: string, description: string) =>
    plugin.command(usage).description(description);
  const choosing = (usage: string, description: string) =>
    sub(usage, description).addOption(pluginsOption()).addOption(pluginOption())
      .addOption(kindOption()).addOption(configOption());
  choosing("list", "the plugins that the daemon would find, and which serves what")
    .example("xdevd plugin list", "which plugin serves which kind")
    .example("xdevd plugin list --json | jq -r '.plugins[].name'", "their names, for a program")
    .addOption(jsonOption("plugin-list"))
    .action(async (options: PluginOptions & { json?: boolean }) => {
      const { listPlugins } = await import("./list.ts");
      finish(await listPlugins(options, builtIns));
    });
  choosing("info <plugin>", "what a plugin (a name or a file) says of itself; runs nothing of it")
    .example("xdevd plugin info vbd", "one that is built in")
    .example("xdevd plugin info ./my-disks.mjs", "a file, before it is trusted")
    .addOption(jsonOption("plugin-info"))
    .action(async (name: string, options: PluginOptions & { json?: boolean }) => {
      const { showPlugin } = await import("./list.ts");
      finish(await showPlugin(name, options, builtIns));
    });
  choosing("check <plugin>", "run the conformance suite on a plugin (a name or a file)")
    .example("xdevd plugin check ./my-disks.mjs", "try all rules on it")
    .example(
      "xdevd plugin check ./my-disks.mjs --only remove-twice --time-limit 20",
      "one rule, with more time for each call",
    )
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
    .addOption(jsonOption("plugin-check"))
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
    .example("xdevd plugin new my-disks", "a module that serves the kind my-disks")
    .example(
      "xdevd plugin new my-disks --carrier process --kind vbd --dir plugins",
      "a program in Python, for disks",
    )
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
    .example(
      "xdevd plugin bundle my-disks.mjs -o build/my-disks.mjs",
      "a module with all it imports",
    )
    .example(
      "xdevd-full plugin bundle my-disks.ts -o build/my-disks.mjs",
      "of TypeScript, by the full binary",
    )
    .requiredOption("-o, --output <file>", "the file to write", absoluteFile)
    .action(async (file: string, { output }: { output: string }) => {
      const { bundlePlugin } = await import("./bundle.ts");
      finish(await bundlePlugin(absoluteFile(file), output));
    });
}
