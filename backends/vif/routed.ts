/** Modes `route` and `nat`: an address of ours on the interface, and host routes to the guest's. */
import type { HostRoute, LinkSwitch } from "../../contract/v1/network.ts";
import {
  formatAddress,
  formatIp,
  hasHostBits,
  type IpNetwork,
} from "../../contract/v1/ip_address.ts";
import { type Preparation, refusal, type Task } from "./settings.ts";
import type { DeviceIdentity } from "../../contract/v1/plugin.ts";

interface RoutedPlan {
  /** Our end: `address/32`. */
  readonly address: string;
  readonly routes: readonly HostRoute[];
  readonly switches: readonly LinkSwitch[];
  readonly networks: readonly IpNetwork[];
}

/** Finds out what of it is there already, which is then neither done nor undone. */
async function prepareRouted(task: Task, plan: RoutedPlan): Promise<Preparation> {
  const { links, link, name } = task;
  const [addresses, present] = await Promise.all([
    links.addresses(link.name),
    links.routes(link.name),
  ]);
  const given = addresses.includes(plan.address) ? [] : [plan.address];
  const known = new Set(present.map(routeKey));
  const routes = plan.routes.filter((route) => !known.has(routeKey(route)));
  const switchedOn: LinkSwitch[] = [];
  for (const which of plan.switches) {
    if (await links.readSwitch(link.name, which) === false) switchedOn.push(which);
  }
  return {
    undo: { given, routes, switchedOn },
    networks: plan.networks,
    async apply() {
      for (const address of given) await links.addAddress(name, address);
      await links.setUp(name);
      for (const which of switchedOn) await links.writeSwitch(name, which, true);
      for (const route of routes) await links.addRoute(name, route);
    },
  };
}

/** What tells routes through one interface apart. */
export function routeKey({ destination, source, metric }: HostRoute): string {
  return [destination, source ?? "", metric ?? 0].join(" ");
}

/** The interface whose address is used when node `gatewaydev` names none, as in Xen's scripts. */
const DEFAULT_GATEWAY_DEVICE = "eth0";

/** Metric of the routes; an emulated twin of the interface would have 1, and come first. */
const METRIC = 2;

/** Packets to the guest's addresses are routed to its interface. */
export async function prepareRoute(task: Task): Promise<Preparation> {
  const { networks } = task.settings;
  for (const network of networks) {
    if (!hasHostBits(network)) continue;
    const why = "a network's address ends in zeros behind its prefix; for one host leave out /bits";
    throw refusal("ip", formatIp(network), why);
  }
  const source = await gatewayAddress(task);
  return await prepareRouted(task, {
    address: `${source}/32`,
    routes: networks.map((network) => ({
      destination: formatIp(network),
      metric: METRIC,
      ...(network.version === 4 ? { source } : {}),
    })),
    switches: networks.some(({ version }) => version === 6)
      ? ["ipv4/proxy_arp", "ipv6/proxy_ndp"]
      : ["ipv4/proxy_arp"],
    networks,
  });
}

/**
 * The first IPv4 address of the interface through which the guest's packets leave. The kernel takes
 * a name with a label for the interface itself, and so do Xen's scripts: they use its first address,
 * whatever the label.
 */
async function gatewayAddress({ links, settings }: Task): Promise<string> {
  const name = settings.gatewayDevice?.split(":")[0] ?? DEFAULT_GATEWAY_DEVICE;
  const refuse = (why: string) => {
    const hint = settings.gatewayDevice === null ? ", which is meant when it is empty," : "";
    const accepted = "accepted is an interface with an IPv4 address";
    return refusal(
      "gatewaydev",
      settings.gatewayDevice ?? "",
      `${accepted}; ${name}${hint} ${why}`,
    );
  };
  if (await links.read(name) === undefined) throw refuse("does not exist");
  const address = (await links.addresses(name)).find((text) => !text.includes(":"));
  if (address === undefined) throw refuse("has none");
  return address.split("/")[0]!;
}

/** Our end has the guest's address plus this, in the last number (vif-nat). */
const ROUTER_OFFSET = 127;

/** With this file, vif-nat would have a DHCP server give out the address. */
const DHCPD_CONFIGURATION = "/etc/dhcpd.conf";

/**
 * The guest's addresses are private, ours is computed from them. As with Xen's script, translating
 * addresses on their way out is up to the administrator's packet filter.
 */
export async function prepareNat(task: Task): Promise<Preparation> {
  const { device, settings } = task;
  const guest = settings.networks.length === 0
    ? addressOf(device.id)
    : onlyAddress(settings.networks);
  const last = guest.bytes[3]!;
  const router = formatAddress({ bytes: [...guest.bytes.slice(0, 3), last + ROUTER_OFFSET] });
  if (await device.system.exists(DHCPD_CONFIGURATION)) {
    device.log.warning(`${DHCPD_CONFIGURATION} is left alone: the guest gets no entry there`);
  }
  return await prepareRouted(task, {
    address: `${router}/32`,
    routes: [{ destination: `${formatAddress(guest)}/32`, source: router }],
    switches: ["ipv4/proxy_arp"],
    networks: [guest],
  });
}

/** 10.x.y.z with the domid in x and y and the device's number from 1 in z (vif-nat). */
function addressOf({ frontendDomid, devid }: DeviceIdentity): IpNetwork {
  if (devid >= 255 - ROUTER_OFFSET) {
    const why = `for device ${devid} an address has to be given; those computed end at device `;
    throw refusal("ip", "", `${why}${254 - ROUTER_OFFSET}`);
  }
  const bytes = [10, frontendDomid >> 8, frontendDomid & 0xff, devid + 1];
  return { version: 4, bytes, bits: 16 };
}

function onlyAddress(networks: readonly IpNetwork[]): IpNetwork {
  const [network] = networks;
  const value = networks.map(formatAddress).join(" ");
  if (network === undefined || networks.length > 1 || network.version !== 4) {
    throw refusal("ip", value, "accepted is one IPv4 address, with or without /bits");
  }
  if (network.bytes[3]! + ROUTER_OFFSET > 254) {
    const why = `accepted is an address whose last number is at most ${254 - ROUTER_OFFSET}`;
    throw refusal("ip", value, `${why}: our end has that plus ${ROUTER_OFFSET}`);
  }
  return network;
}
