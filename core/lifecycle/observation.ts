/** What the store says about a device, and what follows for it. Pure. */
import { XenbusState } from "../xen/states.ts";

/** One look at a device's nodes: how they are, as far as the store has told. */
export interface Observation {
  /** Whether the backend directory exists. */
  readonly present: boolean;
  /** The `online` node: 1 is true, 0 is false; undefined when it is missing or anything else. */
  readonly online: boolean | undefined;
  /** The `state` node; undefined when it is missing or garbage. */
  readonly state: XenbusState | undefined;
  /** Whether the guest's directory exists and lets us read it. */
  readonly frontendPresent: boolean;
  /** Whether the nodes prove that an add has succeeded before, maybe under an earlier daemon. */
  readonly served: boolean;
  /** What `hotplug-status` says: that it has succeeded, that it has failed, or neither. */
  readonly report: "connected" | "failed" | "none";
  /** The attach id of the directory; null without one, or if none is expected. */
  readonly attachId: string | null;
  /** Why the directory must not be served (it contradicts its own path, say), or null. */
  readonly fault: string | null;
}

/** A directory that is not there. */
export const ABSENT: Observation = {
  present: false,
  online: undefined,
  state: undefined,
  frontendPresent: false,
  served: false,
  report: "none",
  attachId: null,
  fault: null,
};

/** What the toolstack and the guest want, as far as the store tells. */
export type Wish =
  /** The directory is not there: it was removed by force, or never was. */
  | "gone"
  /** The nodes make no sense (yet): leave the device alone. */
  | "unclear"
  /** The device must not be served. */
  | "refused"
  /** The device is to be served. */
  | "present"
  /** The guest has closed its side and may come back. */
  | "idle"
  /** The guest's directory is gone: nobody will use the device again. */
  | "dead"
  /** The toolstack wants it removed; the backend has not closed yet. */
  | "closing"
  /** The toolstack wants it removed and the backend has closed. */
  | "removal";

/** The level-triggered decision table. */
export function wishOf(seen: Observation): Wish {
  if (!seen.present) return "gone";
  if (seen.online === undefined || seen.state === undefined) return "unclear";
  if (!seen.online) return seen.state === XenbusState.Closed ? "removal" : "closing";
  if (!seen.frontendPresent) return "dead";
  if (seen.fault !== null) return "refused";
  const closed = seen.state === XenbusState.Closing || seen.state === XenbusState.Closed;
  return closed ? "idle" : "present";
}
