/** A device of the store's as commands print it for programs. */
import { backendPath, type DeviceId } from "../../core/xen/device_id.ts";
import { type DeviceJson, deviceJson, type DeviceState } from "../../core/xen/device_json.ts";
import { parseState } from "../../core/xen/states.ts";
import { nameIn } from "../../core/toolstack/domains.ts";
import {
  type ListedDevice,
  readDevice,
  recordNode,
  stateOfNodes,
} from "../../core/toolstack/list_devices.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { isServerError } from "../../core/xenstore/errors.ts";

/** A device, and its nodes. */
export interface DeviceResult extends DeviceJson {
  /** Kind of its frontend. */
  readonly frontendKind: string;
  readonly backendPath: string | null;
  readonly frontendPath: string | null;
  /** XenbusState, 0 to 8. */
  readonly backendState: number | null;
  readonly frontendState: number | null;
  readonly hotplugStatus: string | null;
  readonly hotplugError: string | null;
}

/** The node of a record that has what is served, by the kind of frontends. */
const TARGETS = new Map([["vbd", "params"], ["vif", "bridge"], ["9pfs", "path"]]);

/** Which device is meant. */
export interface DeviceReference {
  readonly frontendKind: string;
  readonly frontendDomid: number;
  readonly devid: number;
}

/** @param device as it was found, or as it was before it was removed */
export async function deviceResult(
  store: StoreClient,
  device: ListedDevice,
  state: DeviceState = stateOf(device),
): Promise<DeviceResult> {
  const { id, frontendKind, frontendDomid, devid, backend, frontend } = device;
  const node = TARGETS.get(frontendKind);
  const [guestName, backendName, target] = await Promise.all([
    nameIn(store, frontendDomid),
    id === null ? null : nameIn(store, id.backendDomid),
    // A driver domain cannot read the record.
    node === undefined ? null : recordNode(store, device, node).catch(() => null),
  ]);
  const kind = id?.kind ?? frontendKind;
  const ids = { frontendDomid, kind, devid, backend: id?.backendDomid };
  return {
    ...deviceJson({ ...ids, guestName, backendName, target: target || null, state }),
    frontendKind,
    backendPath: backend || null,
    frontendPath: frontend || null,
    backendState: device.backendState ?? null,
    frontendState: device.frontendState ?? null,
    hotplugStatus: device.hotplugStatus ?? null,
    hotplugError: device.hotplugError ?? null,
  };
}

/**
 * A device that was made just now, as it is in the store.
 * @param id its backend, if it is known: a driver domain sees no more
 */
export async function resultOf(
  store: StoreClient,
  reference: DeviceReference,
  id: DeviceId | null,
): Promise<DeviceResult> {
  const { frontendKind, frontendDomid, devid } = reference;
  const found = await readDevice(store, frontendDomid, frontendKind, devid).catch((error) => {
    if (isServerError(error, "EACCES", "EPERM")) return undefined;
    throw error;
  });
  if (found !== undefined) return await deviceResult(store, found);
  const backend = id === null ? "" : backendPath(id);
  const read = (name: string) => id === null ? undefined : store.readVisible(`${backend}/${name}`);
  const [state, hotplugStatus, hotplugError] = await Promise.all(
    ["state", "hotplug-status", "hotplug-error"].map(read),
  );
  return await deviceResult(store, {
    ...reference,
    id,
    backend,
    frontend: "",
    backendState: parseState(state ?? ""),
    frontendState: undefined,
    hotplugStatus,
    hotplugError,
  });
}

function stateOf({ id, backendState, hotplugStatus }: ListedDevice): DeviceState {
  return id === null ? "unknown" : stateOfNodes(backendState, hotplugStatus);
}
