/** The devices of guests, as the toolstack's records tell them. */
import { type DeviceId, parseBackendPath, parseDecimal } from "../xen/device_id.ts";
import type { DeviceState } from "../xen/device_json.ts";
import { parseState, XenbusState } from "../xen/states.ts";
import { absent } from "../xenstore/access.ts";
import type { StoreClient } from "../xenstore/client.ts";
import { recordPath } from "./nodes/plan.ts";

/** A device that the toolstack has created. */
export interface ListedDevice {
  /** Kind of its frontend, which is that of its record. */
  readonly frontendKind: string;
  readonly frontendDomid: number;
  readonly devid: number;
  /** null for a device without a paravirtual backend, or with a record that makes no sense. */
  readonly id: DeviceId | null;
  /** Path of the backend; empty if there is none. */
  readonly backend: string;
  readonly frontend: string;
  /** undefined if the node is missing. */
  readonly backendState: XenbusState | undefined;
  readonly frontendState: XenbusState | undefined;
  readonly hotplugStatus: string | undefined;
  readonly hotplugError: string | undefined;
}

/** What the nodes of a backend directory tell of the device. */
export function stateOfNodes(
  backendState: XenbusState | undefined,
  hotplugStatus: string | undefined,
): DeviceState {
  if (hotplugStatus === "error") return "failed";
  if (hotplugStatus === "busy") return "busy";
  switch (backendState) {
    case XenbusState.Connected:
      return "connected";
    case XenbusState.Closing:
      return "closing";
    case XenbusState.Closed:
      return "closed";
    default:
      return hotplugStatus === "connected" ? "ready" : "waiting";
  }
}

/** A node of a device's record, where its guest and its driver domain cannot write; or undefined. */
export async function recordNode(
  store: StoreClient,
  device: Pick<ListedDevice, "frontendDomid" | "devid" | "frontendKind">,
  name: string,
): Promise<string | undefined> {
  return await absent(store.readText(`${recordPath(device, device.frontendKind)}/${name}`));
}

/** Largest devid: records are libxl's own, and a devid is an int there. */
const DEVID_MAX = 0x7fffffff;

/** Kinds of frontends of which a guest has devices, in alphabetical order. */
export async function kindsOf(store: StoreClient, frontendDomid: number): Promise<string[]> {
  return (await absent(store.list(`/libxl/${frontendDomid}/device`)) ?? []).sort();
}

/** A guest's devices with frontends of a kind, by devid. */
export async function listDevices(
  store: StoreClient,
  frontendDomid: number,
  frontendKind: string,
): Promise<ListedDevice[]> {
  const directory = `/libxl/${frontendDomid}/device/${frontendKind}`;
  const devids = (await absent(store.list(directory)) ?? [])
    .map((text) => parseDecimal(text, DEVID_MAX)).filter((devid) => devid !== undefined);
  devids.sort((a, b) => a - b);
  const found = await Promise.all(
    devids.map((devid) => readDevice(store, frontendDomid, frontendKind, devid)),
  );
  return found.filter((device) => device !== undefined);
}

/** One device; undefined when there is no record of it. */
export async function readDevice(
  store: StoreClient,
  frontendDomid: number,
  frontendKind: string,
  devid: number,
): Promise<ListedDevice | undefined> {
  const read = (path: string) => store.readVisible(path);
  const record = recordPath({ frontendDomid, devid }, frontendKind);
  // Only domain 0 may read records: elsewhere that is told, not taken for their absence.
  const [present, backend = "", frontend = ""] = await Promise.all(
    [record, `${record}/backend`, `${record}/frontend`].map((path) => absent(store.readText(path))),
  );
  if (present === undefined) return undefined;
  const known = parseBackendPath(backend);
  const id = known?.frontendDomid === frontendDomid && known.devid === devid ? known : null;
  const [backendState, frontendState, hotplugStatus, hotplugError] = id === null
    ? []
    : await Promise.all([
      read(`${backend}/state`),
      read(`${frontend}/state`),
      read(`${backend}/hotplug-status`),
      read(`${backend}/hotplug-error`),
    ]);
  return {
    frontendKind,
    frontendDomid,
    devid,
    id,
    backend,
    frontend,
    backendState: parseState(backendState ?? ""),
    frontendState: parseState(frontendState ?? ""),
    hotplugStatus,
    hotplugError,
  };
}
