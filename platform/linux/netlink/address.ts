/** Addresses of interfaces in rtnetlink messages (linux/if_addr.h, struct ifaddrmsg). Pure. */
import { formatIp, type IpNetwork } from "../../../contract/v1/ip_address.ts";
import { decodeAttributes, encodePayload, type NetlinkMessage, viewOf } from "./attributes.ts";

// linux/rtnetlink.h
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

// linux/socket.h
export const AF_INET = 2;
export const AF_INET6 = 10;

// linux/if_addr.h
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;

const IFADDRMSG_SIZE = 8;

/** Asks for the addresses of one interface; kernels before 5.0 tell those of all. */
export function addressQuery(index: number): Uint8Array {
  return structure(0, 0, index);
}

/** Names an address of an interface. */
export function addressChange(index: number, address: IpNetwork): Uint8Array {
  const bytes = Uint8Array.from(address.bytes);
  const family = address.version === 4 ? AF_INET : AF_INET6;
  return encodePayload(structure(family, address.bits, index), [
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

function structure(family: number, bits: number, index: number): Uint8Array {
  const bytes = new Uint8Array(IFADDRMSG_SIZE);
  bytes.set([family, bits]);
  viewOf(bytes).setUint32(4, index, true);
  return bytes;
}
