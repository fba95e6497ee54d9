/**
 * Keeps writable storage from being shared by mistake. Debian's script has such a check too, but in
 * a driver domain it cannot see what it asks for.
 */
import type { Busy, Device, Holder, HolderName } from "../../contract/v1/plugin.ts";
import { type Claim, claimIn, recordOf, toUndo, writesIn } from "./claim.ts";
import { shown } from "./request.ts";
import { beginTogether, nameOf, strangersAmong } from "./together.ts";
import { overlaps, parseUse } from "./stack.ts";
import { type OwnUses, readOwnUses, usedHere } from "./used_here.ts";

/**
 * How long another guest's device may take to let go, in ms, that shows no sign of it: its removal may
 * have been asked for, or its directory deleted, just now.
 */
export const PATIENCE_MS = 3_000;

/**
 * How long one may that is about to: the time for the guest to close it and for the kernel to let go
 * (LIBXL_DESTROY_TIMEOUT and half of it), and for a script to be undone (LIBXL_HOTPLUG_TIMEOUT), in ms.
 */
const ENDING_MS = 60_000;
const PAUSE_MS = 50;

/** How many devices one is made to wait for; the daemon takes no more. */
const HOLDERS_MAX = 64;

/** The target may not be used, as others use it. */
export class NotShareable extends Error {
  /** Who has it, as the daemon takes it; null: it is not tried again. */
  readonly busy: Busy | null;

  /** @param holders none: no device of ours */
  constructor(reason: string, holders: readonly HolderName[] | null) {
    super(reason);
    this.busy = holders === null ? null : { holders: holders.slice(0, HOLDERS_MAX).map(plainName) };
  }
}

function plainName({ kind, frontendDomid, devid }: HolderName): HolderName {
  return { kind, frontendDomid, devid };
}

/** Whether a mode says that storage is shared on purpose. */
function isUnchecked(mode: string): boolean {
  return mode.endsWith("!");
}

/**
 * Records what a device is going to use, unless others use it. Devices of one guest may share; those
 * of one virtual machine, for a while. What is about to let go is waited for.
 * @param target as people know it
 * @param mode one that ends in `!` means: shared on purpose
 * @param more to be recorded with it
 * @param endingMs how long what is about to let go may take
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
  endingMs: number = ENDING_MS,
): Promise<void> {
  const guests = new Map<number, boolean>();
  for (let waited = 0;; waited += PAUSE_MS) {
    // Of two at the same time the first one gets it, whatever the names of what they share.
    const rivals = await device.system.exclusively("vbd claims", signal, async () => {
      const rivals = isUnchecked(mode) ? [] : rivalsOf(device, claim);
      const strangers = rivals.length === 0 ? [] : await strangersAmong(device, rivals, guests);
      if (strangers.length > 0) return strangers;
      await device.recordUndo({ ...more, ...toUndo(claim) });
      if (rivals.length > 0) await beginTogether(device);
      return [];
    });
    if (rivals.length === 0) return;
    const patience = rivals.every(({ ending }) => ending) ? endingMs : PATIENCE_MS;
    if (waited >= patience) return await refuseBusy(device, refusal(target, rivals, mode), rivals);
    await device.system.sleep(PAUSE_MS, signal);
  }
}

/** What this domain itself uses, as far as it matters to a device of this mode. */
export async function lookHere(device: Device, mode: string): Promise<OwnUses> {
  // What only reads may share with what only reads.
  return isUnchecked(mode)
    ? { stacks: [], mounts: [] }
    : await readOwnUses(device.system, writesIn(mode));
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
  own: Promise<OwnUses> = lookHere(device, mode),
): Promise<void> {
  const found = await usedHere(await own, extents);
  if (found === undefined) return;
  await refuseBusy(device, `${shown(target)} cannot be shared: ${found}; ${meant(mode)}`);
}

/**
 * Says that the target is in use, as the script does.
 * @param holders the devices that use it; none: it is tried again now and then; null: it is not
 * @throws NotShareable
 */
export async function refuseBusy(
  device: Device,
  reason: string,
  holders: readonly HolderName[] | null = [],
): Promise<never> {
  await device.nodes.write({ "hotplug-error": reason, "hotplug-status": "busy" });
  throw new NotShareable(reason, holders);
}

/** A script that has said `busy`, while others' records tell whose its target is, refuses likewise. */
export async function asRefusal(device: Device, error: Error): Promise<Error> {
  const rivals = rivalsOf(device, claimIn(device.undo));
  if (rivals.length === 0) return error;
  if (await device.nodes.read("hotplug-status") !== "busy") return error;
  return new NotShareable(error.message, rivals);
}

/** How many devices a refusal names. */
const NAMED_MAX = 3;

function refusal(target: string, rivals: readonly Rival[], mode: string): string {
  const names = rivals.slice(0, NAMED_MAX).map(nameOf).join(", ");
  const others = rivals.length > NAMED_MAX ? ` and ${rivals.length - NAMED_MAX} more` : "";
  const does = rivals.some(({ writes }) => writes)
    ? "writes it, or a part of it"
    : "uses it, or a part of it, and this one is to write it";
  const which = `another guest's device ${does} (${names}${others})`;
  return `${shown(target)} cannot be shared: ${which}; ${meant(mode)}`;
}

/** The option that would allow it. */
function meant(mode: string): string {
  return `with mode ${mode}! it may [storage-in-use]`;
}

/** Another guest's device that uses some of the same. */
interface Rival extends Holder {
  readonly writes: boolean;
}

/** Other guests' devices that write what this one is to use, or use what it is to write. */
export function rivalsOf(device: Device, { extents, writes }: Claim): readonly Rival[] {
  const rivals = new Map<string, Rival>();
  for (const on of new Set(extents.map(({ on }) => on))) {
    const mine = extents.filter((extent) => extent.on === on);
    // Of thousands that use the same in the same way, it is looked at once.
    for (const text of device.heldValues(recordOf(on))) {
      const use = parseUse(on, String(text));
      if (!writes && !use.writes) continue;
      if (!mine.some((extent) => use.extents.some((other) => overlaps(extent, other)))) continue;
      for (const holder of device.holders(recordOf(on), String(text), "other guests")) {
        const key = `${holder.kind}/${holder.frontendDomid}/${holder.devid}`;
        rivals.set(key, { ...holder, writes: use.writes || rivals.get(key)?.writes === true });
      }
    }
  }
  return [...rivals.values()];
}
