/** Keeping up with a bridge whose MTU is changed while guests use it. */
import type { Device } from "../../contract/v1/plugin.ts";
import type { NetworkLinks } from "../../contract/v1/network.ts";
import { decodeUndo } from "./undo.ts";

/**
 * Gives an interface, and its guest's node `mtu`, the MTU that its bridge has by now, unless the
 * toolstack asked for a certain one or somebody has moved the interface elsewhere.
 */
export async function followBridge(device: Device, links: NetworkLinks): Promise<void> {
  const undo = decodeUndo(device.undo);
  if (undo === null || !undo.follows) return;
  const [link, bridge] = await Promise.all([links.at(undo.index), links.read(undo.joined)]);
  if (link === undefined || bridge === undefined) return;
  if (link.master !== bridge.name || link.mtu === bridge.mtu) return;
  await links.setMtu(link.name, bridge.mtu);
  device.log.info(`MTU ${link.mtu} → ${bridge.mtu}, as its bridge ${bridge.name}`);
  await tellMtu(device, bridge.mtu);
}

/** Writes the guest's node `mtu`; that it cannot be written is worth a line and no more. */
export async function tellMtu(device: Device, mtu: number): Promise<void> {
  try {
    await device.frontend.writeMtu(mtu);
  } catch (error) {
    // Toolstacks before Xen 4.15 made no such node. A guest that reads none takes 1500.
    device.log.warning(`the guest is not told its MTU, ${mtu}: ${(error as Error).message}`);
  }
}
