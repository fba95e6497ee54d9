/** Which other devices keep a claim from being granted. */
import type { Device, Holder } from "../../plugins/contract.ts";
import type { Claim } from "./sharing.ts";

/** Other guests' devices that write what this one is to use, or use what it is to write. */
export function rivalsOf(device: Device, { uses, writes }: Claim): readonly Holder[] {
  if (uses === undefined) return [];
  return device.holders(writes === undefined ? "writes" : "uses", uses, "other guests");
}
