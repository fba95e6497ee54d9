/** Messages of rtnetlink about interfaces, their addresses and routes, as bytes. Pure. */
import {
  type Attribute,
  decodeAttributes,
  encodePayload,
  type NetlinkMessage,
  numberOf,
  textOf,
  viewOf,
} from "./attributes.ts";
import {
  formatAddress,
  formatIp,
  type IpNetwork,
  parseIp,
} from "../../../contract/v1/ip_address.ts";
import type { HostRoute, NetworkLink } from "../../../contract/v1/network.ts";

// linux/rtnetlink.h
export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;

// linux/if.h
const IFF_UP = 0x1;

// linux/if_link.h
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_EXT_MASK = 29;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
/** linux/veth.h */
const VETH_INFO_PEER = 1;
/** Leaves the counters out of answers (linux/rtnetlink.h). */
const RTEXT_FILTER_SKIP_STATS = 1 << 3;

const IFINFOMSG_SIZE = 16;
/** Length of an Ethernet address, in bytes. */
const MAC_SIZE = 6;

/** An interface as the kernel tells of it: what it is a port of is a number. */
export interface LinkMessage extends Omit<NetworkLink, "master"> {
  /** 0 if it is no port. */
  readonly masterIndex: number;
}

/** What is to become of an interface; what is left out stays. */
export interface LinkChange {
  readonly up?: boolean;
  readonly mtu?: number;
  readonly mac?: string;
  readonly name?: string;
  /** 0 takes it out. */
  readonly masterIndex?: number;
}

/** Asks for an interface by name or number, or (without either) for all. */
export function linkQuery(which: { name?: string; index?: number }): Uint8Array {
  const attributes: Attribute[] = [[IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS]];
  if (which.name !== undefined) attributes.push([IFLA_IFNAME, which.name]);
  return encodePayload(structure(which.index ?? 0, 0, 0), attributes);
}

/** Changes an interface. @param which by number, or by name unless that is to change */
export function linkChange(which: number | string, change: LinkChange): Uint8Array {
  const attributes: Attribute[] = [];
  if (typeof which === "string") attributes.push([IFLA_IFNAME, which]);
  if (change.mtu !== undefined) attributes.push([IFLA_MTU, change.mtu]);
  if (change.name !== undefined) attributes.push([IFLA_IFNAME, change.name]);
  if (change.masterIndex !== undefined) attributes.push([IFLA_MASTER, change.masterIndex]);
  if (change.mac !== undefined) {
    const bytes = change.mac.split(":").map((pair) => parseInt(pair, 16));
    attributes.push([IFLA_ADDRESS, Uint8Array.from(bytes)]);
  }
  const flags = change.up === true ? IFF_UP : 0;
  return encodePayload(
    structure(
      typeof which === "number" ? which : 0,
      flags,
      change.up === undefined ? 0 : IFF_UP,
    ),
    attributes,
  );
}

/** Makes a bridge, or with `peer` the two ends of a virtual cable (veth). */
export function linkCreation(name: string, { peer }: { peer?: string } = {}): Uint8Array {
  const ofName = (name: string): Attribute => [IFLA_IFNAME, name];
  const info: Attribute[] = peer === undefined ? [[IFLA_INFO_KIND, "bridge"]] : [
    [IFLA_INFO_KIND, "veth"],
    [
      IFLA_INFO_DATA,
      encodePayload(new Uint8Array(0), [
        [VETH_INFO_PEER, encodePayload(structure(0, 0, 0), [ofName(peer)])],
      ]),
    ],
  ];
  return encodePayload(structure(0, 0, 0), [
    ofName(name),
    [IFLA_LINKINFO, encodePayload(new Uint8Array(0), info)],
  ]);
}

/** Removes an interface, by its number. */
export function linkRemoval(index: number): Uint8Array {
  return encodePayload(structure(index, 0, 0), []);
}

/** Reads what is said of an interface; null if the message is no such thing. */
export function decodeLink({ type, payload }: NetlinkMessage): LinkMessage | null {
  if (type !== RTM_NEWLINK || payload.length < IFINFOMSG_SIZE) return null;
  const view = viewOf(payload);
  const attributes = decodeAttributes(payload, IFINFOMSG_SIZE);
  const mac = attributes.get(IFLA_ADDRESS);
  const info = attributes.get(IFLA_LINKINFO);
  return {
    index: view.getInt32(4, true),
    name: textOf(attributes, IFLA_IFNAME) ?? "",
    up: (view.getUint32(8, true) & IFF_UP) !== 0,
    mtu: numberOf(attributes, IFLA_MTU) ?? 0,
    mac: mac?.length === MAC_SIZE
      ? [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":")
      : "",
    kind: info === undefined ? "" : textOf(decodeAttributes(info, 0), IFLA_INFO_KIND) ?? "",
    masterIndex: numberOf(attributes, IFLA_MASTER) ?? 0,
  };
}

/** @param mask which flags are meant */
function structure(index: number, flags: number, mask: number): Uint8Array {
  const bytes = new Uint8Array(IFINFOMSG_SIZE);
  const view = viewOf(bytes);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, mask, true);
  return bytes;
}

// linux/rtnetlink.h
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

// linux/socket.h
const AF_INET = 2;
const AF_INET6 = 10;

// linux/if_addr.h
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;

const IFADDRMSG_SIZE = 8;

/** Asks for the addresses of one interface; kernels before 5.0 tell those of all. */
export function addressQuery(index: number): Uint8Array {
  return addressHeader(0, 0, index);
}

/** Names an address of an interface. */
export function addressChange(index: number, address: IpNetwork): Uint8Array {
  const bytes = Uint8Array.from(address.bytes);
  const family = address.version === 4 ? AF_INET : AF_INET6;
  return encodePayload(addressHeader(family, address.bits, index), [
    [IFA_LOCAL, bytes],
    [IFA_ADDRESS, bytes],
  ]);
}

/** Reads an address as `address/bits`; null unless it is one of this interface. */
export function decodeAddress({ type, payload }: NetlinkMessage, index: number): string | null {
  if (type !== RTM_NEWADDR || payload.length < IFADDRMSG_SIZE) return null;
  if (viewOf(payload).getUint32(4, true) !== index) return null;
  const attributes = decodeAttributes(payload, IFADDRMSG_SIZE);
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (bytes === undefined) return null;
  const version = payload[0] === AF_INET ? 4 : 6;
  return formatIp({ version, bytes: [...bytes], bits: payload[1] ?? 0 });
}

function addressHeader(family: number, bits: number, index: number): Uint8Array {
  const bytes = new Uint8Array(IFADDRMSG_SIZE);
  bytes.set([family, bits]);
  viewOf(bytes).setUint32(4, index, true);
  return bytes;
}

// linux/rtnetlink.h
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
const RT_TABLE_MAIN = 254;
/** Made by an administrator's means, as `ip route` marks its own. */
const RTPROT_BOOT = 3;
const RT_SCOPE_LINK = 253;
/** In a deletion: whatever the scope. */
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_TABLE = 15;

const RTMSG_SIZE = 12;

/** Asks for the routes through one interface; kernels before 5.0 tell all. */
export function routeQuery(index: number): Uint8Array {
  return encodePayload(new Uint8Array(RTMSG_SIZE), [[RTA_TABLE, RT_TABLE_MAIN], [RTA_OIF, index]]);
}

/** Names a route to be made or deleted; null if its texts are no addresses. */
export function routeChange(
  index: number,
  route: HostRoute,
  action: "add" | "remove",
): Uint8Array | null {
  const destination = parseIp(route.destination);
  const source = route.source === undefined ? undefined : parseIp(route.source);
  if (destination === null || source === null) return null;
  const routeHeader = new Uint8Array(RTMSG_SIZE);
  routeHeader[0] = destination.version === 4 ? AF_INET : AF_INET6;
  routeHeader[1] = destination.bits;
  routeHeader[4] = RT_TABLE_MAIN;
  routeHeader[5] = action === "add" ? RTPROT_BOOT : 0;
  routeHeader[6] = action === "add" ? RT_SCOPE_LINK : RT_SCOPE_NOWHERE;
  routeHeader[7] = RTN_UNICAST;
  const attributes: Attribute[] = [[RTA_OIF, index]];
  if (destination.bits > 0) attributes.push([RTA_DST, Uint8Array.from(destination.bytes)]);
  if (route.metric) attributes.push([RTA_PRIORITY, route.metric]);
  if (source !== undefined) attributes.push([RTA_PREFSRC, Uint8Array.from(source.bytes)]);
  return encodePayload(routeHeader, attributes);
}

/** Reads a route; null unless it is a plain one of the main table through this interface. */
export function decodeRoute({ type, payload }: NetlinkMessage, index: number): HostRoute | null {
  if (type !== RTM_NEWROUTE || payload.length < RTMSG_SIZE) return null;
  const view = viewOf(payload);
  const attributes = decodeAttributes(payload, RTMSG_SIZE);
  const family = view.getUint8(0);
  const table = numberOf(attributes, RTA_TABLE) ?? view.getUint8(4);
  if (family !== AF_INET && family !== AF_INET6) return null;
  if (table !== RT_TABLE_MAIN || view.getUint8(7) !== RTN_UNICAST) return null;
  if (numberOf(attributes, RTA_OIF) !== index || attributes.has(RTA_GATEWAY)) return null;
  const version = family === AF_INET ? 4 : 6;
  const any = new Uint8Array(version === 4 ? 4 : 16);
  const source = attributes.get(RTA_PREFSRC);
  return {
    destination: formatIp({
      version,
      bytes: [...attributes.get(RTA_DST) ?? any],
      bits: view.getUint8(1),
    }),
    ...(source === undefined ? {} : { source: formatAddress({ bytes: [...source] }) }),
    metric: numberOf(attributes, RTA_PRIORITY) ?? 0,
  };
}
