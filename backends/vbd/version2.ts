/**
 * Block devices that a version 2 hotplug script sets up. Loop devices and the like are its own
 * affair: its `remove` and `unprepare` undo all it did, and find all they need in a directory of
 * their own.
 */
import type { Device } from "../../plugins/contract.ts";
import { claimTarget } from "./claim.ts";
import { useOf } from "./loop.ts";
import { checkSharing, type Claim, claimOf, claimOn } from "./sharing.ts";

/** Sets a device up. @throws NotShareable; Error with one line of reason */
export async function addVersion2(
  device: Device,
  script: string,
  params: string,
  signal: AbortSignal,
): Promise<void> {
  let claim = await claimTarget(device, script, params, signal);
  // Version 1 scripts' devices with this target tell by what was there before them which is whose.
  await device.system.exclusively(`vbd ${params}`, signal, async () => {
    if (claim.uses === undefined) {
      // A volume that is not active yet, say.
      await device.scripts.prepare(script, signal);
      claim = await claimTarget(device, script, params, signal);
    }
    await device.scripts.run("block", script, "add", signal);
  });
  const made = await recordUse(device, claim.uses === undefined);
  await checkSharing(device, params, made, signal);
}

/** Learns of a device that was set up under an earlier daemon. */
export async function adoptVersion2(device: Device, script: string): Promise<void> {
  // The backend's own node may say by now which device it is.
  const params = await device.hotplug.read("params") ?? "";
  const claim = await claimOf(device, params);
  await device.recordUndo({ script, params, ...claim });
  await recordUse(device, claim.uses === undefined);
}

/** Undoes it, by the record and the script's own directory alone. */
export async function removeVersion2(device: Device, signal: AbortSignal): Promise<void> {
  const named = await device.nodes.read("script");
  const { script = named } = device.undo;
  if (typeof script !== "string" || script === "") return;
  const copy = named === undefined ? { ...device.copy } : undefined;
  await device.scripts.run("block", script, "remove", signal, copy);
}

/** @param isUnknown nothing could be told from the target: what the script made of it is claimed */
async function recordUse(device: Device, isUnknown: boolean): Promise<Claim> {
  const node = await device.nodes.read("physical-device-path");
  if (node === undefined) return {};
  const mode = await device.nodes.read("mode") ?? "w";
  const identity = isUnknown ? await device.system.identityOf(node) : undefined;
  const claim = identity === undefined ? {} : claimOn(identity, mode);
  await device.recordUndo({ use: await useOf(device.system, node), ...claim });
  return claim;
}
