/** Interfaces in rtnetlink messages (linux/if_link.h, struct ifinfomsg). Pure. */
import {
  type Attribute,
  decodeAttributes,
  encodePayload,
  type NetlinkMessage,
  numberOf,
  textOf,
  viewOf,
} from "./attributes.ts";

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

/** What is said of an interface. */
export interface LinkMessage {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly mtu: number;
  /** Six hex pairs with colons, or empty. */
  readonly mac: string;
  readonly kind: string;
  /** Number of the interface that it is a port of; 0 if of none. */
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
