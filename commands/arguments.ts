/** What arguments of several commands have to be. */
import { type Command, type Example, InvalidArgumentError, Option } from "./line/command.ts";
import { DEFAULT_SCRIPT_DIRECTORY } from "../core/hotplug/defaults.ts";
import { DOMID_MAX, parseBackendPath, parseDomid } from "../core/xen/device_id.ts";
import { absoluteFile } from "../platform/self.ts";

/** A number of seconds, more than 0. @throws InvalidArgumentError */
export function seconds(text: string): number {
  return secondsUpTo(86_400)(text);
}

/** Likewise, with another limit. */
export function secondsUpTo(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= most) return value;
    throw new InvalidArgumentError(`Expected seconds, more than 0 and at most ${most}.`);
  };
}

/** How devices may be called where the daemon is asked. */
export const DEVICE_RULE =
  "KIND/DOMID/DEVID (vbd/7/51712, vbd/7/xvda), or a name or number that one device has (xvda, vif7.0)";

/**
 * A device, as far as its text alone can be judged; which one it is, is told where the daemon is asked.
 * @throws InvalidArgumentError
 */
export function deviceText(text: string): string {
  if (/^[^/]+$/.test(text)) return text;
  // A name in the place of the number is looked up later.
  const numbered = text.replace(/\/[a-z][a-z0-9]*$/, "/0");
  if (parseBackendPath(`/local/domain/0/backend/${numbered}`) !== undefined) return text;
  throw new InvalidArgumentError(`Expected ${DEVICE_RULE}.`);
}

/** A domid other than 0. @throws InvalidArgumentError */
export function domid(text: string): number {
  const value = parseDomid(text);
  if (value === undefined || value === 0) {
    throw new InvalidArgumentError(`Expected a domid, 1 to ${DOMID_MAX}.`);
  }
  return value;
}

/** Where hotplug scripts may be: the first directory that is given replaces the default. */
export function scriptsOption(): Option {
  const standard: readonly string[] = [DEFAULT_SCRIPT_DIRECTORY];
  return new Option("--scripts <dir>", "where hotplug scripts may be; may be repeated")
    .argParser((text: string, before: readonly string[]) => [
      ...(before === standard ? [] : before),
      absoluteFile(text),
    ]).default(standard, DEFAULT_SCRIPT_DIRECTORY);
}

/**
 * `--json`, of each command that has a result for programs.
 * @param schema the file in docs/schemas that says what a result is, without `.json`
 */
export function jsonOption(schema: string): Option {
  return new Option("--json", `print JSON, also of a failure (docs/schemas/${schema}.json)`);
}

/** Adds a command that prints JSON where that is wanted, and asks a store. @param schema of what it prints */
export function storeCommand(
  parent: Command,
  storeOption: () => Option,
  schema: string,
  usage: string,
  description: string,
  ...examples: readonly Example[]
): Command {
  const made = parent.command(usage).description(description);
  for (const example of examples) made.example(...example);
  return made.addOption(jsonOption(schema)).addOption(storeOption());
}
