/**
 * Keeps writable storage from being shared by mistake. Debian's script has such a check too, but in
 * a driver domain it cannot see what it asks for.
 */
import type { Device } from "../../plugins/contract.ts";
import { rivalsOf } from "./rivals.ts";

/** What is recorded of a device's target: who `writes` it, and who `uses` it in whatever way. */
export interface Claim {
  readonly uses?: string;
  readonly writes?: string;
}

/**
 * How long another guest's device may take to let go, in ms: it may have been removed by force, with
 * its undoing still under way.
 */
const PATIENCE_MS = 3_000;
const PAUSE_MS = 50;

/** The target may not be used, as others use it. */
export class NotShareable extends Error {}

/**
 * What a device is going to do with its target; nothing if the target is no file.
 * @param mode if it has been read
 */
export async function claimOf(device: Device, params: string, mode?: string): Promise<Claim> {
  const target = params.startsWith("/") ? await device.system.identityOf(params) : undefined;
  if (target === undefined) return {};
  return claimOn(target, mode ?? await modeOf(device));
}

/** What a device of this mode is going to do with what has this identity. */
export function claimOn(target: string, mode: string): Claim {
  return { uses: target, ...(mode.includes("w") ? { writes: target } : {}) };
}

/**
 * To be called when the claim is recorded, so that of two at the same time at least one sees the
 * other. Devices of one guest may share.
 * @param known the mode, if it has been read. One that ends in `!` means: shared on purpose.
 * @throws NotShareable when another guest's device writes it, or is using it and this one is to write
 * it; the nodes then say `busy`
 */
export async function checkSharing(
  device: Device,
  params: string,
  claim: Claim,
  signal: AbortSignal,
  known?: string,
): Promise<void> {
  const mode = known ?? await modeOf(device);
  if (mode.endsWith("!")) return;
  for (let waited = 0; rivalsOf(device, claim).length > 0; waited += PAUSE_MS) {
    if (waited >= PATIENCE_MS) {
      const how = claim.writes === undefined ? "writes it" : "uses it, and this one is to write it";
      return await refuseBusy(
        device,
        `${params} cannot be shared: another guest's device ${how} (mode ${mode})`,
      );
    }
    await device.system.sleep(PAUSE_MS, signal);
  }
}

/** Says that the target is in use, as the script does. @throws NotShareable */
export async function refuseBusy(device: Device, reason: string): Promise<never> {
  await device.nodes.write({ "hotplug-error": reason, "hotplug-status": "busy" });
  throw new NotShareable(reason);
}

async function modeOf(device: Device): Promise<string> {
  return await device.nodes.read("mode") ?? "w";
}
