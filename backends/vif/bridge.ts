/** Mode `bridge`: the interface is a port of a Linux bridge, and keeps up with its MTU. */
import type { NetworkLink, NetworkLinks } from "../../contract/v1/network.ts";
import { checkInterface, type Preparation, refusal, type Task } from "./settings.ts";
import type { Device } from "../../contract/v1/plugin.ts";
import { decodeUndo } from "./undo.ts";

export async function prepareBridge(task: Task): Promise<Preparation> {
  const { links, link, settings, name } = task;
  const bridge = await findBridge(task);
  const addresses = await links.addresses(link.name);
  // The guest is to use what the bridge can carry.
  const mtu = settings.mtu ?? bridge.mtu;
  return {
    undo: {
      ...{ joined: bridge.name, joinedIndex: bridge.index, taken: addresses },
      ...(settings.mtu === null ? { follows: true } : { givenMtu: settings.mtu }),
    },
    networks: settings.networks,
    guestMtu: mtu,
    async apply() {
      await makePort(task, addresses);
      if (link.mtu !== mtu) await links.setMtu(name, mtu);
      if (link.master !== bridge.name) await links.addToBridge(bridge.name, name);
      await links.setUp(name);
    },
  };
}

/** The bridge that node `bridge` names; without one, the first that there is. */
async function findBridge({ links, settings }: Task): Promise<NetworkLink> {
  const named = settings.bridge === "" ? null : checkInterface("bridge", settings.bridge);
  const name = named ?? (await links.bridges())[0];
  if (name === undefined) {
    throw refusal("bridge", "", "there is no bridge here; make one first [bridge-missing]");
  }
  const found = await links.read(name) ?? await findRenamed(links, name);
  const accepted = "accepted is the name of a bridge";
  if (found === undefined) {
    throw refusal("bridge", name, `${accepted}; there is no such interface [bridge-missing]`);
  }
  if (found.kind !== "bridge") {
    throw refusal("bridge", name, `${accepted}, which this is not [bridge-missing]`);
  }
  return found;
}

/**
 * What a bridge may be called by now: until Xen 3.2 the bridge of eth0 was xenbr0; later it was
 * called eth0 itself.
 */
export function bridgeNames(name: string): string[] {
  const number = /^xenbr(.*)$/.exec(name)?.[1];
  return number === undefined ? [name] : [name, `eth${number}`];
}

async function findRenamed(links: Task["links"], name: string): Promise<NetworkLink | undefined> {
  const [, renamed] = bridgeNames(name);
  const found = renamed === undefined ? undefined : await links.read(renamed);
  return found?.kind === "bridge" ? found : undefined;
}

/**
 * The MAC address of ports: the highest of one station. A bridge takes the lowest address of its
 * ports for its own; it shall not be that of a guest's, which comes and goes.
 */
const PORT_MAC = "fe:ff:ff:ff:ff:ff";

/** Takes the interface down, and its addresses from it. @param addresses those that it has */
export async function makePort(task: Task, addresses: readonly string[]): Promise<void> {
  const { links, name, link, device } = task;
  if (link.up) await links.setDown(name);
  try {
    if (link.mac !== PORT_MAC) await links.setMac(name, PORT_MAC);
  } catch (error) {
    // Not every driver can change it, and it works without, if less well.
    device.log.warning((error as Error).message);
  }
  for (const address of addresses) {
    await links.removeAddress(name, address).catch((error: { code?: string }) => {
      // The kernel itself drops those of IPv6 when the interface goes down.
      if (error.code !== "EADDRNOTAVAIL") throw error;
    });
  }
}

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
