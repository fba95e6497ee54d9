/** Which other devices keep a claim from being granted. */
import type { Device, Holder } from "../../contract/v1/plugin.ts";
import { type Claim, recordOf } from "./claim.ts";
import { overlaps, parseUse } from "./extents.ts";

/** Another guest's device that uses some of the same. */
export interface Rival extends Holder {
  /** Whether it writes there. */
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
