/** What identifies a device, and the paths that follow from it. Pure. */

/** Identity of a device: what a backend path names. */
export interface DeviceId {
  /** Domid of the driver domain, 0 … 32751. */
  readonly backendDomid: number;
  /** Backend kind in lower case, at most 15 characters, such as `vbd`. */
  readonly kind: string;
  /** Domid of the guest, 0 … 32751. */
  readonly frontendDomid: number;
  /** Number of the device within (guest, kind), 0 … 2³²-1. */
  readonly devid: number;
}

/** Largest domid of a real domain (DOMID_FIRST_RESERVED - 1, xen/include/public/xen.h). */
export const DOMID_MAX = 0x7fef;

/** Longest kind name, in characters (libxl_device.c, `libxl__parse_backend_path`). */
export const KIND_LENGTH_MAX = 15;

const kindPattern = /^[a-z0-9][a-z0-9_-]*$/;

/** Canonical decimal (no sign, no leading zero) up to `max`, or undefined. */
export function parseDecimal(text: string, max: number): number | undefined {
  if (!/^(0|[1-9]\d{0,9})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}

/** A domid 0 … 32751 in canonical decimal, or undefined. */
export function parseDomid(text: string): number | undefined {
  return parseDecimal(text, DOMID_MAX);
}

export function isKind(text: string): boolean {
  return text.length <= KIND_LENGTH_MAX && kindPattern.test(text);
}

/** `/local/domain/DD/backend`: below it are all backends of a driver domain. */
export function backendRoot(backendDomid: number): string {
  return `/local/domain/${backendDomid}/backend`;
}

export function backendPath(id: DeviceId): string {
  return `${backendRoot(id.backendDomid)}/${id.kind}/${id.frontendDomid}/${id.devid}`;
}

/** The backend directory relative to the driver domain's home, as v1 scripts get it. */
export function relativeBackendPath(id: DeviceId): string {
  return `backend/${id.kind}/${id.frontendDomid}/${id.devid}`;
}

/**
 * The frontend directory, built from the identity and never read from the store: what the guest
 * can write is not trusted to say where it is.
 */
export function frontendPath(id: DeviceId, frontendKind: string): string {
  const home = `/local/domain/${id.frontendDomid}`;
  if (frontendKind === "console" && id.devid === 0) return `${home}/console`;
  if (frontendKind === "vuart") return `${home}/vuart/${id.devid}`;
  return `${home}/device/${frontendKind}/${id.devid}`;
}

/** Name for people and for logs: `vbd/7/51712`. */
export function deviceName(
  id: Pick<DeviceId, "kind" | "frontendDomid" | "devid">,
): string {
  return `${id.kind}/${id.frontendDomid}/${id.devid}`;
}

/** Where an event path lies relative to the devices of a driver domain. */
export type PathPlace =
  /** At or below one device's directory. */
  | { readonly at: "device"; readonly id: DeviceId }
  /** At the root, a kind, or a guest: everything below may have changed. */
  | { readonly at: "above"; readonly path: string }
  /** Nowhere a device could be. */
  | { readonly at: "elsewhere" };

/**
 * Reduces a path below `/local/domain/DD/backend` to the device it belongs to, whatever node of it
 * changed. Unlike the stock parser it takes canonical numbers only.
 */
export function placeOf(path: string, backendDomid: number): PathPlace {
  const root = backendRoot(backendDomid);
  if (path !== root && !path.startsWith(root + "/")) return { at: "elsewhere" };
  const [kind, frontend, devidText] = path.slice(root.length + 1).split("/");
  if (!kind) return { at: "above", path };
  if (!isKind(kind)) return { at: "elsewhere" };
  if (frontend === undefined) return { at: "above", path };
  const frontendDomid = parseDomid(frontend);
  if (frontendDomid === undefined) return { at: "elsewhere" };
  if (devidText === undefined) return { at: "above", path };
  const devid = parseDecimal(devidText, 0xffffffff);
  if (devid === undefined) return { at: "elsewhere" };
  return { at: "device", id: { backendDomid, kind, frontendDomid, devid } };
}

/** A backend path of exactly seven components as a device identity, or undefined. */
export function parseBackendPath(path: string): DeviceId | undefined {
  const match = /^\/local\/domain\/(\d+)\/backend\/[^/]+\/[^/]+\/[^/]+$/.exec(path);
  const backendDomid = parseDomid(match?.[1] ?? "");
  if (backendDomid === undefined) return undefined;
  const place = placeOf(path, backendDomid);
  return place.at === "device" ? place.id : undefined;
}
