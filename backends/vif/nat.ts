/**
 * Mode `nat`: the guest's addresses are private, ours is computed from them. As with Xen's script,
 * translating addresses on their way out is up to the administrator's packet filter.
 */
import { formatAddress, type IpNetwork } from "../../contract/v1/ip_address.ts";
import type { DeviceIdentity } from "../../contract/v1/plugin.ts";
import { prepareRouted } from "./routed.ts";
import { refusal } from "./settings.ts";
import type { Preparation, Task } from "./task.ts";

/** Our end has the guest's address plus this, in the last number (vif-nat). */
const ROUTER_OFFSET = 127;

/** With this file, vif-nat would have a DHCP server give out the address. */
const DHCPD_CONFIGURATION = "/etc/dhcpd.conf";

/** See {@link Mode}. */
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
