/** A device as all commands tell of it to programs (`--json`), and the daemon's socket. Pure. */
import { type DeviceId, deviceName } from "./device_id.ts";
import { type Named, nickname } from "./device_label.ts";
import { XenbusState } from "./states.ts";

/** Where a device is, in a few words that stay; what each means is in docs/running.md. */
export const DEVICE_STATES = [
  "waiting",
  "attaching",
  "connected",
  "broken",
  "undoing",
  "failed",
  "busy",
  "detaching",
  "stuck",
  "recovering",
  "unknown",
] as const;

/** One of {@link DEVICE_STATES}. */
export type DeviceState = typeof DEVICE_STATES[number];

/** The one shape. What is not known is null; no field is ever left out. */
export interface DeviceShape {
  /** The guest's domid. */
  readonly guest: number;
  /** What the guest is called, where the store tells it. */
  readonly guestName: string | null;
  /** The device, as commands take it: `vbd/7/51712`. */
  readonly name: string;
  /** Of the backend. */
  readonly kind: string;
  /** What people call it: `xvda`, `vif7.0`. */
  readonly vdev: string | null;
  readonly devid: number;
  /** Domid of the driver domain. */
  readonly backend: number;
  /** What it stands on: an image, a block device, a bridge. */
  readonly target: string | null;
  /** Who set it up: `script block v1`, `native`, `plugin nbd@1.2`, `QEMU`. */
  readonly way: string | null;
  readonly state: DeviceState;
  /** Since when it is in that state; ISO 8601, UTC. */
  readonly since: string | null;
  /** Why it failed, does not work, or cannot be undone. */
  readonly error: string | null;
}

/** What follows from a device's identity; the rest is not known. */
export function bareShape(id: DeviceId, guestName: string | null = null): DeviceShape {
  return {
    guest: id.frontendDomid,
    guestName,
    name: deviceName(id),
    kind: id.kind,
    vdev: nickname(id as Named),
    devid: id.devid,
    backend: id.backendDomid,
    target: null,
    way: null,
    state: "unknown",
    since: null,
    error: null,
  };
}

/** What the nodes of a backend directory tell, where no daemon can be asked. */
export function stateOfNodes(
  backendState: XenbusState | undefined,
  hotplugStatus: string | undefined,
): DeviceState {
  if (hotplugStatus === "error") return "failed";
  if (hotplugStatus === "busy") return "busy";
  switch (backendState) {
    case undefined:
      return "unknown";
    case XenbusState.Connected:
      return "connected";
    case XenbusState.Closing:
    case XenbusState.Closed:
      return "detaching";
    default:
      return "waiting";
  }
}

/** Longest target that is told, in characters. */
const TARGET_MAX = 300;

/** What a device stands on, by the nodes of its backend directory. */
export function targetOf(nodes: Readonly<Record<string, string | undefined>>): string | null {
  const target = nodes["params"] || nodes["bridge"] || nodes["target"] || "";
  return target === "" ? null : target.slice(0, TARGET_MAX);
}
