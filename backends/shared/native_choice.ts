/** Whether a device is set up by a script, or in this process. */
import type { Device } from "../../contract/v1/plugin.ts";

/** The setting `native`, as the manifest has it. */
export const NATIVE_SETTING =
  '"auto" (default): the stock scripts\' work is done without them where they, or their ' +
  'interpreter, are missing; "always", "never"; or a list of scripts, by name or path';

/** Where Xen's scripts are; a node without a slash names one of them. */
const STOCK = "/etc/xen/scripts";

/** How the last device of each kind was set up. */
const lastChoices = new Map<string, boolean>();

/** What {@link goesNative} is going to say, by the setting and the last device of the kind. */
export function likelyNative({ id, settings }: Device): boolean {
  const setting = settings["native"] ?? "auto";
  if (setting === "always" || setting === "never") return setting === "always";
  return lastChoices.get(id.kind) ?? false;
}

/**
 * Whether the work of the script that the backend names is to be done without it.
 * @param isKnown whether there is code for the work of a stock script of this name
 * @throws Error when the setting is none
 */
export async function goesNative(
  device: Device,
  script: string,
  isKnown: (name: string) => boolean,
): Promise<boolean> {
  const native = await decide(device, script, isKnown);
  lastChoices.set(device.id.kind, native);
  return native;
}

async function decide(
  device: Device,
  script: string,
  isKnown: (name: string) => boolean,
): Promise<boolean> {
  const setting = device.settings["native"] ?? "auto";
  const name = script.slice(script.lastIndexOf("/") + 1);
  if (setting === "never" || !isKnown(name)) return false;
  if (setting === "always") return true;
  if (Array.isArray(setting)) return setting.includes(name) || setting.includes(script);
  if (setting !== "auto") {
    throw new Error(
      `setting native is ${JSON.stringify(setting)}; expected "auto", "always", "never" or a list`,
    );
  }
  // A script of this name elsewhere is somebody's own.
  if (script !== name && script !== `${STOCK}/${name}`) return false;
  const text = await device.system.readText(`${STOCK}/${name}`);
  if (text === undefined) return true;
  const interpreter = /^#! *(\/\S+)/.exec(text)?.[1];
  return interpreter !== undefined && !await device.system.exists(interpreter);
}
