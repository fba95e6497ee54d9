/**
 * Two guests that are one virtual machine, as in a migration to the same host: both are served what
 * they share, but not for long.
 */
import type { Device, Holder } from "../../contract/v1/plugin.ts";

/**
 * How long, in ms. A migration ends the source's device when the target has begun to run; it takes
 * seconds. What goes on for longer is no migration but a copy of a configuration.
 */
export const TOGETHER_MS = 60_000;

/** The undo record: until when, in ms since 1970; 0: no longer, and it was not needed. */
export const TOGETHER_RECORD = "together until";

/**
 * Of these, the ones whose guests are other virtual machines than this device's.
 * @param known guests that were asked about already, and whether they are the same
 */
export async function strangersAmong<Rival extends Holder>(
  device: Device,
  rivals: readonly Rival[],
  known: Map<number, boolean>,
): Promise<readonly Rival[]> {
  for (const { frontendDomid } of rivals) {
    if (known.has(frontendDomid)) continue;
    known.set(frontendDomid, await device.sameMachine(frontendDomid));
  }
  return rivals.filter(({ frontendDomid }) => known.get(frontendDomid) !== true);
}

/** Begins the time for which a device is served together with others. */
export async function beginTogether(device: Device): Promise<void> {
  await device.recordUndo({ [TOGETHER_RECORD]: Date.now() + TOGETHER_MS });
  device.log.info(
    `served together with another device of the same virtual machine, for ${
      TOGETHER_MS / 1000
    } s at most`,
  );
}

/** Whether a device is served together with others, and not for good. */
export function isTogether(device: Device): boolean {
  const until = device.undo[TOGETHER_RECORD];
  return typeof until === "number" && until !== 0;
}

/**
 * To be called now and then of one that {@link isTogether}: why it may no longer be served, since its
 * time is over; null while all is well.
 * @param rivals those that it is served together with
 */
export async function togetherTooLong(
  device: Device,
  rivals: readonly Holder[],
): Promise<string | null> {
  if (rivals.length === 0) {
    await device.recordUndo({ [TOGETHER_RECORD]: 0 });
    return null;
  }
  const left = Number(device.undo[TOGETHER_RECORD]) - Date.now();
  // Beyond that, the clock was set back meanwhile.
  if (left > 0 && left <= TOGETHER_MS) return null;
  if (rivals.every(({ ending }) => ending)) return null;
  return `it shares its storage with ${
    rivals.map(nameOf).join(", ")
  } of the same virtual machine, ` +
    `which has not ended within ${TOGETHER_MS / 1000} s: a migration would have`;
}

/** As the daemon names devices. */
export function nameOf({ kind, frontendDomid, devid }: Holder): string {
  return `${kind}/${frontendDomid}/${devid}`;
}
