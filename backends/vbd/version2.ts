/**
 * Block devices that a version 2 hotplug script sets up. Loop devices and the like are its own
 * affair: its `remove` and `unprepare` undo all it did, and find all they need in a directory of
 * their own.
 */
import type { Device } from "../../contract/v1/plugin.ts";
import { useOf } from "./loop.ts";
import { claimMade, claimTarget } from "./scripted_claim.ts";

/** Sets a device up. @throws NotShareable; Error with one line of reason */
export async function addVersion2(
  device: Device,
  script: string,
  params: string,
  mode: string,
  signal: AbortSignal,
): Promise<void> {
  const isClaimed = await claimTarget(device, script, params, mode, signal);
  // Version 1 scripts' devices with this target tell by what was there before them which is whose.
  await device.system.exclusively(`vbd ${params}`, signal, async () => {
    if (!isClaimed) {
      // A volume that is not active yet, say.
      await device.scripts.prepare(script, signal);
      await claimTarget(device, script, params, mode, signal);
    }
    await device.scripts.run("block", script, "add", signal);
  });
  await recordUse(device);
  await claimMade(device, params, mode, signal);
}

/** Learns of a device that was set up under an earlier daemon. */
export async function adoptVersion2(device: Device, script: string): Promise<void> {
  // The backend's own node may say by now which device it is.
  const params = await device.hotplug.read("params") ?? "";
  await device.recordUndo({ script, params });
  await recordUse(device);
}

/** Undoes it, by the record and the script's own directory alone. */
export async function removeVersion2(device: Device, signal: AbortSignal): Promise<void> {
  const named = await device.nodes.read("script");
  const { script = named } = device.undo;
  if (typeof script !== "string" || script === "") return;
  const copy = named === undefined ? { ...device.copy } : undefined;
  await device.scripts.run("block", script, "remove", signal, copy);
}

/** What the script has made, as far as the store tells. */
async function recordUse(device: Device): Promise<void> {
  const node = await device.nodes.read("physical-device-path");
  if (node !== undefined) await device.recordUndo({ use: await useOf(device.system, node) });
}
