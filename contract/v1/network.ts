/**
 * The part of the plugin contract for network interfaces: a capability that some plugins get besides
 * their device. All of it is asynchronous and plain data, so that it can cross a process boundary.
 *
 * Interface names are those of `interface_name.ts`. What fails throws a {@link LinkError}.
 */

/** A failure of the network, with its symbolic name. */
export interface LinkError extends Error {
  /**
   * Symbolic errno, such as `ENODEV` (no such interface), `EEXIST` (there is one of that name, or
   * such a route or address), `EBUSY`, `EPERM`; `EINVAL` for an argument out of its range.
   */
  readonly code: string;
}

/** A network interface, as it was at one moment. */
export interface NetworkLink {
  /** The kernel's number of it, 1 … 2^31-1. It survives renaming and is not given out again soon. */
  readonly index: number;
  readonly name: string;
  /** Whether it is set up (IFF_UP); that there is a carrier is not said. */
  readonly up: boolean;
  /** Largest packet, in bytes. */
  readonly mtu: number;
  /** Hardware address: six lower-case hex pairs with colons; empty if it has none of 6 bytes. */
  readonly mac: string;
  /** The driver's name for what it is, such as `bridge`, `veth`; empty if it gives none (netback). */
  readonly kind: string;
  /** Name of the bridge or other interface that it is a port of; null if of none. */
  readonly master: string | null;
}

/** A route to a host or network that is reached through one interface. */
export interface HostRoute {
  /** An address, or network as `address/bits`, of IPv4 or IPv6; no host bits set. */
  readonly destination: string;
  /** The address that packets bear which are sent from here; IPv4 only. */
  readonly source?: string;
  /** Of several routes to one destination the smallest is taken; 0 … 2^32-1, default 0. */
  readonly metric?: number;
}

/** A switch that the kernel has for each interface: a file below /proc/sys/net/<family>/conf/<if>. */
export type LinkSwitch =
  | "ipv4/proxy_arp"
  | "ipv4/forwarding"
  | "ipv6/proxy_ndp"
  | "ipv6/forwarding";

/** Network interfaces of the machine, as far as plugins may see and change them. */
export interface NetworkLinks {
  /** undefined when there is none of this name. */
  read(name: string): Promise<NetworkLink | undefined>;
  /** The same by its number, whatever it is called by now; undefined when there is none. */
  at(index: number): Promise<NetworkLink | undefined>;
  /** Names of all bridges (of Linux, not of Open vSwitch), in alphabetical order. */
  bridges(): Promise<string[]>;

  setUp(name: string): Promise<void>;
  setDown(name: string): Promise<void>;
  /** @param bytes 68 … 65535; drivers may allow less, and then throw EINVAL or ERANGE */
  setMtu(name: string, bytes: number): Promise<void>;
  /** @param mac as in {@link NetworkLink}, no multicast address */
  setMac(name: string, mac: string): Promise<void>;
  /** The interface must be down. @throws LinkError EEXIST when `to` is taken */
  rename(from: string, to: string): Promise<void>;
  /** Makes an interface a port of a bridge; it leaves the one that it is in. */
  addToBridge(bridge: string, name: string): Promise<void>;
  /** Makes an interface a port of nothing; no error if it is none. */
  removeFromBridge(name: string): Promise<void>;

  /** Addresses as `address/bits`, IPv4 before IPv6; the first IPv4 address is the primary one. */
  addresses(name: string): Promise<string[]>;
  /** @param address as `address/bits`; for IPv4 alone, 32 bits may be left out */
  addAddress(name: string, address: string): Promise<void>;
  /** @throws LinkError EADDRNOTAVAIL when it is not there */
  removeAddress(name: string, address: string): Promise<void>;

  /** Routes of the main table through this interface, without gateways. */
  routes(name: string): Promise<HostRoute[]>;
  /** @throws LinkError EEXIST when there is one to this destination with this metric */
  addRoute(name: string, route: HostRoute): Promise<void>;
  /** @throws LinkError ESRCH when there is no such route */
  removeRoute(name: string, route: HostRoute): Promise<void>;

  /** undefined when the kernel lacks it (no IPv6, say). */
  readSwitch(name: string, which: LinkSwitch): Promise<boolean | undefined>;
  writeSwitch(name: string, which: LinkSwitch, on: boolean): Promise<void>;
}
