/** What undoing a native attach needs when the store cannot tell any more. */
import type { Undo } from "../../contract/v1/plugin.ts";
import type { HostRoute } from "../../contract/v1/network.ts";

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
