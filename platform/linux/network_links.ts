/** The network interfaces of the machine, through the kernel's routing socket and /proc/sys/net. */
import { INTERFACE_NAME_RULE, isInterfaceName } from "../../contract/v1/interface_name.ts";
import { formatIp, parseIp } from "../../contract/v1/ip_address.ts";
import type {
  HostRoute,
  LinkSwitch,
  NetworkLink,
  NetworkLinks,
} from "../../contract/v1/network.ts";
import {
  addressChange,
  addressQuery,
  decodeAddress,
  decodeLink,
  decodeRoute,
  type LinkChange,
  linkChange,
  linkCreation,
  type LinkMessage,
  linkQuery,
  linkRemoval,
  routeChange,
  routeQuery,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELROUTE,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  RTM_SETLINK,
} from "./netlink/messages.ts";
import { closeFile, O_WRONLY, openFile, readText, writeOpen } from "../io/file_calls.ts";
import { dump, request } from "./netlink/socket.ts";
import { hasCode, systemError } from "../system_error.ts";

/** Create, and fail if it exists: NLM_F_CREATE and NLM_F_EXCL of linux/netlink.h. */
const NEW = 0x400 | 0x200;

/** Range of the MTU, in bytes: ETH_MIN_MTU and ETH_MAX_MTU of linux/if_ether.h. */
const [MTU_MIN, MTU_MAX] = [68, 65535];

/** Greatest metric of a route (RTA_PRIORITY, 32 bits). */
const METRIC_MAX = 2 ** 32 - 1;

/** Greatest number of an interface (an int of the kernel's). */
const INDEX_MAX = 2 ** 31 - 1;

/**
 * The machine's interfaces: those of the network namespace that the process is in. The kernel is
 * asked in the calling thread; it answers at once unless somebody else holds its network lock.
 */
export const systemNetworkLinks: NetworkLinks = {
  read(name) {
    return trying(`look at interface ${shown(name)}`, async () => {
      checkName(name);
      const link = await find({ name });
      return link === null ? undefined : await withMaster(link);
    });
  },

  at(index) {
    return trying(`look at interface number ${index}`, async () => {
      if (!Number.isInteger(index) || index < 1 || index > INDEX_MAX) {
        throw systemError("EINVAL", `it has to be 1 … ${INDEX_MAX}`);
      }
      const link = await find({ index });
      return link === null ? undefined : await withMaster(link);
    });
  },

  bridges() {
    return trying("list bridges", async () => {
      const messages = await dump(RTM_GETLINK, linkQuery({}));
      const links = messages.map(decodeLink).filter((link) => link?.kind === "bridge");
      return links.map((link) => link!.name).sort();
    });
  },

  setUp: (name) => change(`set up ${shown(name)}`, name, { up: true }),
  setDown: (name) => change(`set down ${shown(name)}`, name, { up: false }),

  setMtu(name, mtu) {
    const what = `set the MTU of ${shown(name)} to ${mtu} bytes`;
    const fits = Number.isInteger(mtu) && mtu >= MTU_MIN && mtu <= MTU_MAX;
    return change(what, name, { mtu }, fits ? null : `it has to be ${MTU_MIN} … ${MTU_MAX}`);
  },

  setMac(name, mac) {
    const fits = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i.test(mac);
    const fault = fits ? null : "it is no MAC address of one station";
    return change(`set the MAC address of ${shown(name)} to ${shown(mac)}`, name, { mac }, fault);
  },

  rename(from, to) {
    const fault = isInterfaceName(to) ? null : `accepted are ${INTERFACE_NAME_RULE}`;
    return change(`rename ${shown(from)} to ${shown(to)}`, from, { name: to }, fault);
  },

  addToBridge(bridge, name) {
    return trying(`make ${shown(name)} a port of ${shown(bridge)}`, async () => {
      const master = await get(bridge);
      if (master.kind !== "bridge") throw systemError("EINVAL", `${shown(bridge)} is no bridge`);
      await apply(name, { masterIndex: master.index });
    });
  },

  removeFromBridge: (name) =>
    change(`take ${shown(name)} out of its bridge`, name, { masterIndex: 0 }),

  addresses(name) {
    return trying(`list addresses of ${shown(name)}`, async () => {
      const { index } = await get(name);
      const messages = await dump(RTM_GETADDR, addressQuery(index));
      return messages.map((message) => decodeAddress(message, index)).filter((text) =>
        text !== null
      );
    });
  },

  addAddress: (name, address) =>
    changeAddress(`give ${shown(name)} the address`, RTM_NEWADDR, NEW, name, address),
  removeAddress: (name, address) =>
    changeAddress(`take from ${shown(name)} the address`, RTM_DELADDR, 0, name, address),

  routes(name) {
    return trying(`list routes through ${shown(name)}`, async () => {
      const { index } = await get(name);
      const messages = await dump(RTM_GETROUTE, routeQuery(index));
      return messages.map((message) => decodeRoute(message, index)).filter((route) =>
        route !== null
      );
    });
  },

  addRoute: (name, route) => changeRoute("add", name, route),
  removeRoute: (name, route) => changeRoute("remove", name, route),

  readSwitch(name, which) {
    return trying(`read ${which} of ${shown(name)}`, async () => {
      await get(name);
      try {
        return readText(switchPath(name, which)).trim() !== "0";
      } catch (error) {
        if (hasCode(error, "ENOENT")) return undefined;
        throw error;
      }
    });
  },

  writeSwitch(name, which, on) {
    return trying(`set ${which} of ${shown(name)}`, async () => {
      await get(name);
      // Not created: the kernel lacks a switch whose file does not exist.
      const fd = openFile(switchPath(name, which), O_WRONLY);
      try {
        writeOpen(fd, new TextEncoder().encode(on ? "1" : "0"));
      } finally {
        closeFile(fd);
      }
    });
  },
};

/** All interfaces. @throws LinkError */
export function allLinks(): Promise<NetworkLink[]> {
  return trying("list interfaces", async () => {
    const links = (await dump(RTM_GETLINK, linkQuery({}))).map(decodeLink).filter((link) =>
      link !== null
    );
    const names = new Map(links.map(({ index, name }) => [index, name]));
    return links.map(({ masterIndex, ...link }) => ({
      ...link,
      master: names.get(masterIndex) ?? null,
    }));
  });
}

/**
 * Makes an interface: a bridge, or with `peer` (the other end's name) one end of a virtual cable.
 * @throws LinkError `EEXIST`, `EPERM`, `EOPNOTSUPP` where the kernel has no such thing
 */
export function makeLink(name: string, options: { peer?: string } = {}): Promise<NetworkLink> {
  return trying(`make interface ${shown(name)}`, async () => {
    checkName(name);
    await request(RTM_NEWLINK, NEW, linkCreation(name, options));
    return await withMaster(await get(name));
  });
}

/** Removes an interface, whatever it is called by now; none of this number is no error. */
export function removeLink(index: number): Promise<void> {
  return trying(`remove interface number ${index}`, async () => {
    try {
      await request(RTM_DELLINK, 0, linkRemoval(index));
    } catch (error) {
      if ((error as { code?: string }).code !== "ENODEV") throw error;
    }
  });
}

/** Where the kernel has a switch. The name was checked: it leads nowhere else. */
function switchPath(name: string, which: LinkSwitch): string {
  const [family, file] = which.split("/");
  return `/proc/sys/net/${family}/conf/${name}/${file}`;
}

async function find(which: { name: string } | { index: number }): Promise<LinkMessage | null> {
  try {
    const messages = await request(RTM_GETLINK, 0, linkQuery(which));
    return messages.map(decodeLink).find((link) => link !== null) ?? null;
  } catch (error) {
    if (hasCode(error, "ENODEV")) return null;
    throw error;
  }
}

/** An interface that has to exist. */
async function get(name: string): Promise<LinkMessage> {
  checkName(name);
  const link = await find({ name });
  if (link === null) throw systemError("ENODEV", `there is no interface ${shown(name)}`);
  return link;
}

async function withMaster({ masterIndex, ...link }: LinkMessage): Promise<NetworkLink> {
  const master = masterIndex === 0 ? null : await find({ index: masterIndex });
  return { ...link, master: master?.name ?? null };
}

async function apply(name: string, change: LinkChange): Promise<void> {
  checkName(name);
  // What the kernel takes for the name in question is the new one when there is a number.
  const which = change.name === undefined ? name : (await get(name)).index;
  await request(RTM_SETLINK, 0, linkChange(which, change));
}

/** @param fault what is wrong with an argument, if anything */
function change(
  what: string,
  name: string,
  change: LinkChange,
  fault: string | null = null,
): Promise<void> {
  return trying(what, async () => {
    if (fault !== null) throw systemError("EINVAL", fault);
    await apply(name, change);
  });
}

function changeAddress(
  what: string,
  type: number,
  flags: number,
  name: string,
  text: string,
): Promise<void> {
  return trying(`${what} ${shown(text)}`, async () => {
    const address = parseIp(text);
    if (address === null) throw systemError("EINVAL", "it is no IP address");
    await request(type, flags, addressChange((await get(name)).index, address));
  });
}

function changeRoute(action: "add" | "remove", name: string, route: HostRoute): Promise<void> {
  const destination = parseIp(route.destination);
  const to = destination === null ? shown(route.destination) : formatIp(destination);
  return trying(`${action} the route to ${to} through ${shown(name)}`, async () => {
    const { metric = 0 } = route;
    if (!Number.isInteger(metric) || metric < 0 || metric > METRIC_MAX) {
      throw systemError("EINVAL", `its metric is ${metric}; it has to be 0 … ${METRIC_MAX}`);
    }
    const payload = routeChange((await get(name)).index, route, action);
    if (payload === null) throw systemError("EINVAL", "its addresses are no IP addresses");
    if (action === "add") await request(RTM_NEWROUTE, NEW, payload);
    else await request(RTM_DELROUTE, 0, payload);
  });
}

function checkName(name: string): void {
  if (!isInterfaceName(name)) {
    throw systemError("EINVAL", `an interface's name is ${INTERFACE_NAME_RULE}`);
  }
}

/** Says what could not be done besides why. */
async function trying<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code = "EIO", message } = error as { code?: string; message: string };
    throw systemError(code, `cannot ${what}: ${message}`);
  }
}

/** As it is if it is harmless, else quoted and cut. */
function shown(text: string): string {
  return isInterfaceName(text) ? text : JSON.stringify(text.slice(0, 60));
}
