/** Mode `bridge`: the interface becomes a port of a Linux bridge. */
import type { NetworkLink } from "../../contract/v1/network.ts";
import { makePort } from "./port.ts";
import { checkInterface, refusal } from "./settings.ts";
import type { Preparation, Task } from "./task.ts";

/** See {@link Mode}. */
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
