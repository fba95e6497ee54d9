/** Where requests are in the store. Pure. */
import { own } from "../../../contract/v1/own.ts";
import { backendPath, type DeviceId, parseBackendPath, placeOf } from "../../xen/device_id.ts";
import { domainPath } from "../../xenstore/paths.ts";

/**
 * Identity of a request: a device whose `kind` is that of its frontend, such as `vbd`, since which
 * backend serves it is for the driver domain to say.
 */
export type RequestId = DeviceId;

/** Above all requests to a driver domain. */
export function requestRoot(backendDomid: number): string {
  return `/hotplug/domain/${backendDomid}`;
}

/** Where a driver domain's daemon says that it takes requests. No kind has this name. */
export function presencePath(backendDomid: number): string {
  return `${requestRoot(backendDomid)}/daemon`;
}

/** Directory of one request. */
export function requestPath({ backendDomid, kind, frontendDomid, devid }: RequestId): string {
  return `${requestRoot(backendDomid)}/${kind}/${frontendDomid}/${devid}`;
}

/** Where a driver domain notes which requests it has accepted, in what is its own. */
export function claimRoot(backendDomid: number): string {
  return `${domainPath(backendDomid)}/data/xdevd/requests`;
}

/** The note of one request. */
export function claimPath({ backendDomid, kind, frontendDomid, devid }: RequestId): string {
  return `${claimRoot(backendDomid)}/${kind}/${frontendDomid}/${devid}`;
}

/** The request that a path at or below one of these roots belongs to; undefined above them. */
export function requestOfPath(
  path: string,
  root: string,
  backendDomid: number,
): RequestId | undefined {
  if (!path.startsWith(`${root}/`)) return undefined;
  // The rules are those of backend paths.
  const below = path.slice(root.length);
  const place = placeOf(`${domainPath(backendDomid)}/backend${below}`, backendDomid);
  return place.at === "device" && place.id.kind !== "daemon" ? place.id : undefined;
}

/** Backend kinds that may serve a frontend, where they are more than the one of the same name. */
const BACKEND_KINDS: Readonly<Record<string, readonly string[]>> = {
  vbd: ["vbd", "qdisk", "vbd3"],
  "9pfs": ["9pfs", "xen_9pfs"],
  vusb: ["vusb", "qusb"],
  vkbd: ["vkbd", "vinput"],
};

/** Backend kinds that may serve a request. */
export function backendKindsFor(requestKind: string): readonly string[] {
  return own(BACKEND_KINDS, requestKind) ?? [requestKind];
}

/** The kind of request that a backend kind serves. */
export function requestKindOf(backendKind: string): string {
  const found = Object.entries(BACKEND_KINDS).find(([, kinds]) => kinds.includes(backendKind));
  return found?.[0] ?? backendKind;
}

/**
 * Reads node `backend`: the device that serves a request; undefined unless it is one that may. The
 * driver domain writes it, and toolstacks act on it: any other path would have them show the guest,
 * or delete, what belongs to somebody else.
 */
export function parseServingDevice(text: string, id: RequestId): DeviceId | undefined {
  const device = parseBackendPath(text);
  if (device === undefined || backendPath(device) !== text) return undefined;
  const same = device.backendDomid === id.backendDomid &&
    device.frontendDomid === id.frontendDomid && device.devid === id.devid;
  return same && backendKindsFor(id.kind).includes(device.kind) ? device : undefined;
}
