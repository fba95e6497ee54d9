/** The line of the log that tells what is about to be done for a device. */
import type { Device } from "../../contract/v1/plugin.ts";

/** Longest value that is shown, in characters. */
const SHOWN_MAX = 200;

/**
 * Says it.
 * @param nodes what the toolstack wants, by node; what there is not is left out
 * @param how by whom: a script, say
 */
export function tellWanted(
  device: Device,
  nodes: Readonly<Record<string, string | undefined>>,
  how: string,
): void {
  const wanted = Object.entries(nodes).flatMap(([name, value]) =>
    value === undefined || value === ""
      ? []
      : [`${name} ${JSON.stringify(value.slice(0, SHOWN_MAX))}`]
  );
  device.log.info(`wanted: ${[...wanted, how].join(", ")}`);
}

/** Doing the work of a script without it, in words. */
export function natively(script: string): string {
  return `natively, in place of script ${script.slice(0, SHOWN_MAX)}`;
}
