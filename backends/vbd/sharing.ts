/**
 * Keeps writable storage from being shared by mistake. Debian's script has such a check too, but in
 * a driver domain it cannot see what it asks for.
 */
import type { Device } from "../../plugins/contract.ts";
import { type Claim, toUndo, writesIn } from "./claim.ts";
import { shown } from "./request.ts";
import { type Rival, rivalsOf } from "./rivals.ts";
import { type OwnStack, readOwnUses, usedHere } from "./used_here.ts";

/**
 * How long another guest's device may take to let go, in ms: it may have been removed by force, with
 * its undoing still under way.
 */
const PATIENCE_MS = 3_000;
const PAUSE_MS = 50;

/** The target may not be used, as others use it. */
export class NotShareable extends Error {}

/** Whether a mode says that storage is shared on purpose. */
export function isUnchecked(mode: string): boolean {
  return mode.endsWith("!");
}

/**
 * Records what a device is going to use, unless others use it. Devices of one guest may share.
 * @param target as people know it
 * @param mode one that ends in `!` means: shared on purpose
 * @param more to be recorded with it
 * @throws NotShareable when another guest's device writes it, or is using it and this one is to write
 * it; the nodes then say `busy`, and nothing is recorded
 */
export async function takeClaim(
  device: Device,
  target: string,
  claim: Claim,
  mode: string,
  signal: AbortSignal,
  more: Readonly<Record<string, string | number | boolean>> = {},
): Promise<void> {
  for (let waited = 0;; waited += PAUSE_MS) {
    // Of two at the same time the first one gets it, whatever the names of what they share.
    const rivals = await device.system.exclusively("vbd claims", signal, async () => {
      const rivals = isUnchecked(mode) ? [] : rivalsOf(device, claim);
      if (rivals.length === 0) await device.recordUndo({ ...more, ...toUndo(claim) });
      return rivals;
    });
    if (rivals.length === 0) return;
    if (waited >= PATIENCE_MS) return await refuseBusy(device, refusal(target, rivals, mode));
    await device.system.sleep(PAUSE_MS, signal);
  }
}

/** What this domain itself uses, as far as it matters to a device of this mode. */
export async function lookHere(device: Device, mode: string): Promise<readonly OwnStack[]> {
  // What only reads may share with what only reads.
  return isUnchecked(mode) ? [] : await readOwnUses(device.system, writesIn(mode));
}

/**
 * Refuses what this domain uses itself.
 * @throws NotShareable; the nodes then say `busy`
 */
export async function checkHere(
  device: Device,
  target: string,
  { extents }: Claim,
  mode: string,
  own: Promise<readonly OwnStack[]> = lookHere(device, mode),
): Promise<void> {
  const found = usedHere(await own, extents);
  if (found === undefined) return;
  await refuseBusy(device, `${shown(target)} cannot be shared: ${found}; ${meant(mode)}`);
}

/** Says that the target is in use, as the script does. @throws NotShareable */
export async function refuseBusy(device: Device, reason: string): Promise<never> {
  await device.nodes.write({ "hotplug-error": reason, "hotplug-status": "busy" });
  throw new NotShareable(reason);
}

/** How many devices a refusal names. */
const NAMED_MAX = 3;

function refusal(target: string, rivals: readonly Rival[], mode: string): string {
  const names = rivals.slice(0, NAMED_MAX).map(({ kind, frontendDomid, devid }) =>
    `${kind}/${frontendDomid}/${devid}`
  ).join(", ");
  const others = rivals.length > NAMED_MAX ? ` and ${rivals.length - NAMED_MAX} more` : "";
  const does = rivals.some(({ writes }) => writes)
    ? "writes it, or a part of it"
    : "uses it, or a part of it, and this one is to write it";
  const which = `another guest's device ${does} (${names}${others})`;
  return `${shown(target)} cannot be shared: ${which}; ${meant(mode)}`;
}

/** The option that would allow it. */
function meant(mode: string): string {
  return `with mode ${mode}! it may`;
}
