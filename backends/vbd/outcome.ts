/** What a version 1 script has left in the nodes, and what of it the kernel's backend still waits for. */
import type { Device } from "../../contract/v1/plugin.ts";
import { hasSpoken, speakFor } from "../shared/mute_script.ts";
import { targetIfMissing } from "./missing_target.ts";

/**
 * Completes what a script that has succeeded has left out: `hotplug-status` always (vbd3's backend waits for that alone),
 * `physical-device` where the path that it wrote tells the number (Linux's blkback opens by number, FreeBSD's by path).
 * @returns the device's number; undefined when it has none
 * @throws Error when it has named no device
 */
export async function completeOutcome(
  device: Device,
  script: string,
  params: string,
): Promise<string | undefined> {
  const [status, number, path] = await Promise.all(
    ["hotplug-status", "physical-device", "physical-device-path"].map((name) =>
      device.nodes.read(name)
    ),
  );
  const isMute = !hasSpoken(status);
  const fail = async (what: string) => {
    const why = await targetIfMissing(device, script, params);
    const result = `script ${script} succeeded but wrote ${what}`;
    return new Error(why === "" ? result : `${why} (${result}) [target-missing]`);
  };
  if (device.id.kind !== "vbd") {
    if (isMute && !path) throw await fail("neither hotplug-status nor physical-device-path");
    if (isMute) await speakFor(device, script);
    return undefined;
  }
  if (!number && !path) throw await fail("no physical-device");
  const found = number ? undefined : await numberOf(device, path ?? "");
  const nodes = found === undefined ? {} : { "physical-device": found };
  if (isMute) await speakFor(device, script, nodes);
  else if (found !== undefined) await device.nodes.write(nodes);
  return number || found;
}

/** A block device's number as blkback reads it; undefined if it is none. */
async function numberOf({ system }: Device, path: string): Promise<string | undefined> {
  try {
    const { kind, major = 0, minor = 0 } = await system.blocks.describe(path);
    return kind === "block" ? `${major.toString(16)}:${minor.toString(16)}` : undefined;
  } catch {
    // Whoever takes a path may take what is nothing here.
    return undefined;
  }
}
