/** What undoing a native attach needs when the store cannot tell any more, and giving an interface back. */
import type { Undo } from "../../contract/v1/plugin.ts";
import type {
  HostRoute,
  LinkError,
  LinkSwitch,
  NetworkLink,
  NetworkLinks,
} from "../../contract/v1/network.ts";

/** How an interface is connected: as by the script `vif-<mode>`. */
export type VifMode = "bridge" | "route" | "nat" | "openvswitch";

/** All of it is known, or written down, before what it undoes is done. */
export interface VifUndo {
  readonly mode: VifMode;
  /** The kernel's number of the interface: names are given again. */
  readonly index: number;
  /** The name that it had, and the one that it got. */
  readonly from: string;
  readonly name: string;
  /** How it was. An empty `mac`, or an `mtu` of 0: not known, or none. */
  readonly up: boolean;
  readonly mac: string;
  readonly mtu: number;
  /** What it was a port of; empty if of nothing. */
  readonly master: string;
  /** Addresses that it had and that were taken from it. */
  readonly taken: readonly string[];
  /** The bridge that it joined; empty if none. */
  readonly joined: string;
  /** The kernel's number of that bridge; 0: none, or not known. */
  readonly joinedIndex: number;
  /** Whether its MTU is its bridge's, now and later. */
  readonly follows: boolean;
  /** The MTU that it got for good; 0 if none. */
  readonly givenMtu: number;
  /** Addresses and routes that it did not have. */
  readonly given: readonly string[];
  readonly routes: readonly HostRoute[];
  /** Switches that were off, by their names in the contract. */
  readonly switchedOn: readonly string[];
  /** Its port of Open vSwitch; empty if none. */
  readonly ovsPort: string;
  /** What that port is a port of, as the kernel has it; empty if it has nothing of it. */
  readonly switchMaster: string;
  /** Rules of the packet filter, as arguments of iptables without the action. */
  readonly rules: readonly (readonly string[])[];
}

/** Nothing was done yet. */
export const NOTHING_DONE = {
  up: false,
  mac: "",
  mtu: 0,
  master: "",
  taken: [],
  joined: "",
  joinedIndex: 0,
  follows: false,
  givenMtu: 0,
  given: [],
  routes: [],
  switchedOn: [],
  ovsPort: "",
  switchMaster: "",
  rules: [],
} as const satisfies Partial<VifUndo>;

/** As plain data; lists as JSON. */
export function encodeUndo(undo: Partial<VifUndo>): Undo {
  return Object.fromEntries(
    Object.entries(undo).map(([name, value]) => [
      name,
      typeof value === "object" ? JSON.stringify(value) : value,
    ]),
  );
}

/** Reads a record; null if the device was not set up natively, or nothing was begun. */
export function decodeUndo(record: Undo): VifUndo | null {
  const { mode, index, from, name } = record;
  if (typeof mode !== "string" || typeof index !== "number") return null;
  if (typeof from !== "string" || typeof name !== "string") return null;
  const lists = Object.entries(NOTHING_DONE).filter(([, value]) => typeof value === "object");
  const decoded = lists.map(([list]) => [list, JSON.parse(String(record[list] ?? "[]"))]);
  return { ...NOTHING_DONE, ...record, ...Object.fromEntries(decoded) } as VifUndo;
}

/**
 * Undoes everything, but for routes that it had and that ended when it was set down: netback's
 * interfaces have none. Goes on when a part of it fails.
 * @param link the interface as it is now
 * @returns what failed
 */
export async function restoreLink(
  links: NetworkLinks,
  undo: VifUndo,
  link: NetworkLink,
): Promise<Error[]> {
  const { name } = link;
  const failures: Error[] = [];
  /** @param done codes that say that it was undone already */
  const attempt = async (work: Promise<void>, ...done: string[]) => {
    try {
      await work;
    } catch (error) {
      // Without an interface there is nothing to undo.
      const { code } = error as LinkError;
      if (code !== "ENODEV" && !done.includes(code)) failures.push(error as Error);
    }
  };
  for (const route of undo.routes) await attempt(links.removeRoute(name, route), "ESRCH");
  for (const address of undo.given) {
    await attempt(links.removeAddress(name, address), "EADDRNOTAVAIL");
  }
  for (const which of undo.switchedOn) {
    await attempt(links.writeSwitch(name, which as LinkSwitch, false));
  }
  // Names and addresses are changed of interfaces that are down.
  const mustBeDown = !undo.up || name !== undo.from || (undo.mac !== "" && link.mac !== undo.mac);
  if (link.up && mustBeDown) await attempt(links.setDown(name));
  if (link.master !== undo.master) await leave(links, undo, link, attempt);
  if (undo.mac !== "" && link.mac !== undo.mac) await attempt(links.setMac(name, undo.mac));
  if (undo.mtu !== 0 && link.mtu !== undo.mtu) await attempt(links.setMtu(name, undo.mtu));
  for (const address of undo.taken) await attempt(links.addAddress(name, address), "EEXIST");
  if (name !== undo.from) await attempt(links.rename(name, undo.from));
  if (undo.up && (mustBeDown || !link.up)) await attempt(links.setUp(undo.from));
  return failures;
}

/** Leaves the bridge that was joined; one that somebody else put it into is none of ours. */
async function leave(
  links: NetworkLinks,
  undo: VifUndo,
  { name, master }: NetworkLink,
  attempt: (work: Promise<void>) => Promise<void>,
): Promise<void> {
  if (undo.joined === "" || (master !== null && master !== undo.joined)) return;
  if (undo.master !== "") await attempt(links.addToBridge(undo.master, name));
  else if (master !== null) await attempt(links.removeFromBridge(name));
}
