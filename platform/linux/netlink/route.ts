/** Routes in rtnetlink messages (linux/rtnetlink.h, struct rtmsg). Pure. */
import type { HostRoute } from "../../../contract/v1/network.ts";
import { formatAddress, formatIp, parseIp } from "../../../contract/v1/ip_address.ts";
import { AF_INET, AF_INET6 } from "./address.ts";
import {
  type Attribute,
  decodeAttributes,
  encodePayload,
  type NetlinkMessage,
  numberOf,
  viewOf,
} from "./attributes.ts";

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
  const structure = new Uint8Array(RTMSG_SIZE);
  structure[0] = destination.version === 4 ? AF_INET : AF_INET6;
  structure[1] = destination.bits;
  structure[4] = RT_TABLE_MAIN;
  structure[5] = action === "add" ? RTPROT_BOOT : 0;
  structure[6] = action === "add" ? RT_SCOPE_LINK : RT_SCOPE_NOWHERE;
  structure[7] = RTN_UNICAST;
  const attributes: Attribute[] = [[RTA_OIF, index]];
  if (destination.bits > 0) attributes.push([RTA_DST, Uint8Array.from(destination.bytes)]);
  if (route.metric) attributes.push([RTA_PRIORITY, route.metric]);
  if (source !== undefined) attributes.push([RTA_PREFSRC, Uint8Array.from(source.bytes)]);
  return encodePayload(structure, attributes);
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
