/** The options that choose plugins: also of commands other than `plugin`. */
import { PLUGIN_DIRECTORIES } from "../../plugins/places.ts";
import { DEFAULT_CONFIG } from "../../plugins/places.ts";
import { isKind } from "../../core/xen/device_id.ts";
import { absoluteFile } from "../../platform/self.ts";
import { InvalidArgumentError, Option } from "../line/command.ts";

export function pluginsOption(): Option {
  return new Option(
    "--plugins <dir>",
    `where plugins are; may be repeated (default: ${PLUGIN_DIRECTORIES.join(", ")})`,
  ).argParser(collectPath);
}

/** One plugin more. */
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

/** The configuration file. */
export function configOption(): Option {
  return new Option("--config <file>", `configuration (default: ${DEFAULT_CONFIG}, if it is there)`)
    .argParser(absoluteFile);
}

function collectPath(text: string, previous: string[] = []): string[] {
  return [...previous, absoluteFile(text)];
}
