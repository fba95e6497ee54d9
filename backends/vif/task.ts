/** What one attach works with. */
import type { Device } from "../../contract/v1/plugin.ts";
import type { NetworkLink, NetworkLinks } from "../../contract/v1/network.ts";
import type { VifSettings } from "./settings.ts";
import type { VifUndo } from "./undo.ts";

/** What a native attach is given besides its device and the network. */
export interface NativeOptions {
  /**
   * Whether iptables, if there is one, is told to let the guest's packets pass, as Xen's scripts do
   * and Debian's do not (Debian bug 894013: the rules make all bridged traffic pass the packet
   * filter). Default false.
   */
  readonly packetFilter?: boolean;
  /** The nodes, if they are being read already. */
  readonly settings?: Promise<VifSettings>;
}

/** An attach. */
export interface Task {
  readonly device: Device;
  readonly links: NetworkLinks;
  readonly settings: VifSettings;
  readonly options: NativeOptions;
  readonly signal: AbortSignal;
  /** The interface as it was found. */
  readonly link: NetworkLink;
  /** The name that it gets before `apply` is called. */
  readonly name: string;
}

/** What a mode will do; so far it has only looked. */
export interface Preparation {
  /** What undoes it. */
  readonly undo: Partial<VifUndo>;
  /** Networks of the guest, for the packet filter. */
  readonly networks: VifSettings["networks"];
  /** What the guest is told of the MTU, in bytes; it is told nothing without. */
  readonly guestMtu?: number;
  /** Does it. The interface has its final name. */
  apply(): Promise<void>;
}

/** A mode: finds out what is to be done and whether it can be. @throws Error if not */
export type Mode = (task: Task) => Promise<Preparation>;
