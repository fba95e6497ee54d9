/**
 * Block devices that a script sets up: what is claimed for them (what the target names, and what comes
 * of it), and what the script has left in the nodes.
 */
import type { Device } from "../../contract/v1/plugin.ts";
import { extentsOfTarget, hasClaim, identityOfMade, recordOf, toUndo, writesIn } from "./claim.ts";
import { type Extent, stackOf } from "./stack.ts";
import { checkHere, NotShareable, PATIENCE_MS, takeClaim } from "./sharing.ts";
import type { VbdUndo } from "./undo.ts";
import { useOf } from "./script_removal.ts";
import { hasSpoken, speakFor } from "../shared/mute_script.ts";
import { targetIfMissing } from "./request.ts";

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
  // What is no storage of this domain's is not in use here.
  if (isKnown) await checkHere(device, params, claim, mode);
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

/**
 * Sets a device up with a script of version 2. Loop devices and the like are its own affair: its
 * `remove` and `unprepare` undo all it did, and find all they need in a directory of their own.
 * @throws NotShareable; Error with one line of reason
 */
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

/** What looking at a path fails with that leads nowhere, or to a device that is not there. */
const NOTHING_HERE: ReadonlySet<unknown> = new Set(
  ["ENOENT", "ENOTDIR", "ENXIO", "ENODEV", "ELOOP", "ENAMETOOLONG", "EINVAL"],
);

/** A block device's number as blkback reads it; undefined if it is none. @throws Error when nobody can tell */
async function numberOf({ system }: Device, path: string): Promise<string | undefined> {
  try {
    const { kind, major = 0, minor = 0 } = await system.blocks.describe(path);
    return kind === "block" ? `${major.toString(16)}:${minor.toString(16)}` : undefined;
  } catch (error) {
    // Whoever takes a path may take what is nothing here.
    if (NOTHING_HERE.has((error as { code?: unknown }).code)) return undefined;
    throw error;
  }
}
