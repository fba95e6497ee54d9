/** Claims of devices that a script sets up: on what the target names, and on what comes of it. */
import type { Device } from "../../contract/v1/plugin.ts";
import { extentsOfTarget, hasClaim, identityOfMade, recordOf, toUndo, writesIn } from "./claim.ts";
import type { Extent } from "./extents.ts";
import { checkHere, NotShareable, PATIENCE_MS, takeClaim } from "./sharing.ts";
import { stackOf } from "./stack.ts";
import type { VbdUndo } from "./undo.ts";

/**
 * Records what a device is going to use, before its script is run.
 * @returns whether the target names storage that there is
 * @throws NotShareable
 */
export async function claimTarget(
  device: Device,
  script: string,
  params: string,
  mode: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { extents, isKnown } = await extentsOfTarget(device, script, params);
  const claim = { extents, writes: writesIn(mode) };
  await checkHere(device, params, claim, mode);
  await takeClaim(device, params, claim, mode, signal, { script, params });
  return isKnown;
}

/**
 * Records what a script has made: two that are called differently may be one.
 * @throws NotShareable: then it is to be undone at once
 */
export async function claimMade(
  device: Device,
  params: string,
  mode: string,
  signal: AbortSignal,
): Promise<void> {
  const identity = await identityOfMade(device);
  if (identity === undefined) return;
  const claim = { extents: await stackOf(device.system, identity), writes: writesIn(mode) };
  try {
    await checkHere(device, params, claim, mode);
    // What the script has made may keep the other one from being undone: not for long.
    await takeClaim(device, params, claim, mode, signal, {}, PATIENCE_MS);
  } catch (error) {
    if (error instanceof NotShareable && isAnothers(device, identity)) {
      await device.recordUndo({ foreign: true });
    }
    throw error;
  }
}

/** Whether another device has the very same one, and so has had it before. */
function isAnothers(device: Device, identity: string): boolean {
  const record = recordOf(identity);
  return device.heldValues(record).some((value) =>
    device.holders(record, String(value), "any").length > 0
  );
}

/** Records what a device uses that was set up before, unless the record has it. */
export async function adoptClaim(device: Device): Promise<void> {
  if (hasClaim(device.undo)) return;
  const { script, params } = device.undo as VbdUndo;
  const [mode = "w", made] = await Promise.all([
    device.nodes.read("mode"),
    identityOfMade(device),
  ]);
  const extents: Extent[] = script === undefined || params === undefined
    ? []
    : [...(await extentsOfTarget(device, script, params)).extents];
  if (made !== undefined) extents.push(...await stackOf(device.system, made));
  // It has it, whoever else may.
  await device.recordUndo(toUndo({ extents: distinct(extents), writes: writesIn(mode) }));
}

function distinct(extents: readonly Extent[]): Extent[] {
  return [...new Map(extents.map((extent) => [JSON.stringify(extent), extent])).values()];
}
