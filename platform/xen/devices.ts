/** Grants and event channels, as a process sees them. Only types: `xen_devices.ts` has the machine's. */
import type { GuestMemory } from "../../contract/v2/memory.ts";

/** What happens when memory is unmapped, whatever ends its process. */
export interface UnmapNotice {
  /** A byte of the memory that becomes 0. */
  readonly clear: number;
  /** A port of ours by which the guest is notified. */
  readonly port: number;
}

/** Pages that are mapped. */
export interface Mapping {
  readonly memory: GuestMemory;
  /** Whoever uses the memory afterwards gets an error. May be called again. */
  unmap(): void;
}

/** One end of an event channel. */
export interface Port {
  /** Its number here. */
  readonly number: number;
  /** Resolves when the guest has notified us; the port is masked then. False when it was unbound. */
  wait(): Promise<boolean>;
  /** To be called after each wait, and before one looks: later events are told again. */
  unmask(): void;
  notify(): void;
  /** May be called again. */
  unbind(): void;
}

/** Everything throws a SystemError. */
export interface XenDevices {
  /** @param references 1 … 256 grants of this domain, one behind the other */
  map(
    domid: number,
    references: readonly number[],
    access: "read" | "write",
    notice?: UnmapNotice,
  ): Mapping;
  /** Copies from one granted page. @param offset with the length of `to` within 4096 */
  copyFrom(domid: number, reference: number, offset: number, to: Uint8Array): void;
  copyTo(domid: number, reference: number, offset: number, from: Uint8Array): void;
  /** Only event channels of this domain can be bound from here on. */
  restrict(domid: number): void;
  /** @param remotePort that the guest has made for us */
  bind(domid: number, remotePort: number): Port;
  /** Unmaps and unbinds all. */
  close(): void;
}

/** Bytes of a page, on all machines that Xen runs on. */
export const PAGE = 4096;

/** Most pages that are mapped at once; nothing of Xen's, which has thousands. */
export const REFERENCES_MAX = 256;
