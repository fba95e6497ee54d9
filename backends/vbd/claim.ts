/** Recording what a device is going to use, before it does. */
import type { Device } from "../../plugins/contract.ts";
import { checkSharing, type Claim, claimOf } from "./sharing.ts";

/**
 * Records what the device is going to use, unless others do.
 * @param script that is going to set it up
 * @param mode if it has been read
 * @returns what is used; empty when that cannot be told yet
 * @throws NotShareable
 */
export async function claimTarget(
  device: Device,
  script: string,
  params: string,
  signal: AbortSignal,
  mode?: string,
): Promise<Claim> {
  const claim = await claimOf(device, params, mode);
  const record = async () => {
    await device.recordUndo({ script, params, ...claim });
    await checkSharing(device, params, claim, signal, mode);
  };
  if (claim.uses === undefined) await record();
  // Of two at the same time the first one gets it, rather than neither. Removals do not wait here.
  else await device.system.exclusively(`vbd storage ${claim.uses}`, signal, record);
  return claim;
}
