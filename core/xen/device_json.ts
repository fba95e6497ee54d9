/** A device as all commands, and the daemon by its socket, tell programs of it: one shape. Pure. */
import { deviceName } from "./device_id.ts";
import { type Named, nickname } from "./device_label.ts";

/** Where a device is, for programs: fewer words than the lifecycle's phases, and the same from the store. */
export const DEVICE_STATES = {
  "waiting": "it is waited for the driver domain, or for its kernel's backend",
  "setting-up": "it is being set up",
  "ready": "it is set up; the guest does not use it yet",
  "connected": "the guest uses it",
  "undoing": "what was set up is being undone, since something failed or is to begin anew",
  "failed": "it could not be set up",
  "busy": "it was refused, since what it needs is in use",
  "stuck": "it cannot be undone, or its directory cannot be deleted; that is tried again",
  "closing": "it is being closed and removed",
  "closed": "it is closed",
  "recovering": "an earlier daemon has left it; what runs of that is waited for",
  "unknown": "nobody can tell",
} as const;

/** One of {@link DEVICE_STATES}. */
export type DeviceState = keyof typeof DEVICE_STATES;

/** A device for programs. What is not known to who tells it is null. docs/schemas/device.json is its schema. */
export interface DeviceJson {
  /** Domid of the guest. */
  readonly guest: number;
  readonly guestName: string | null;
  /** What people call it: `xvdb`, `vif7.0`; where there is no such thing `KIND/DOMID/DEVID`. */
  readonly name: string;
  /** Of the backend (`vbd`, `qdisk`); of a device without one, of the frontend. */
  readonly kind: string;
  /** Of a disk: `xvdb`. */
  readonly vdev: string | null;
  readonly devid: number;
  /** Domid of the driver domain. */
  readonly backend: number | null;
  readonly backendName: string | null;
  /** What is served: a path, a bridge. */
  readonly target: string | null;
  /** How: `script block v1`, `native`, `plugin NAME@VERSION`, `QEMU`. */
  readonly way: string | null;
  readonly state: DeviceState;
  /** Since when it is in that state, as RFC 3339, in UTC. */
  readonly since: string | null;
}

/** What is known of a device; what is missing becomes null. */
export type KnownOfDevice =
  & Named
  & { readonly state: DeviceState; readonly backend?: number | null | undefined }
  & {
    readonly [Name in "guestName" | "backendName" | "target" | "way" | "since"]?:
      | string
      | null
      | undefined;
  };

/** Makes one of what is known. */
export function deviceJson(known: KnownOfDevice): DeviceJson {
  const { frontendDomid, kind, devid, state } = known;
  const nick = nickname(known);
  return {
    guest: frontendDomid,
    guestName: known.guestName ?? null,
    name: nick ?? deviceName({ kind, frontendDomid, devid }),
    kind,
    vdev: kind === "vif" ? null : nick,
    devid,
    backend: known.backend ?? null,
    backendName: known.backendName ?? null,
    target: known.target ?? null,
    way: known.way ?? null,
    state,
    since: known.since ?? null,
  };
}
