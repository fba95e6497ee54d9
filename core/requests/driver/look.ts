/** What the driver domain sees of a request. */
import { backendPath, type DeviceId } from "../../xen/device_id.ts";
import type { Phase } from "../../lifecycle/state.ts";
import type { DevicePlace, DriverSeen } from "../protocol/driver_machine.ts";
import { parseRequestState, readTree, REQUEST_MARK } from "../protocol/nodes.ts";
import { backendKindsFor, claimPath, type RequestId, requestPath } from "../protocol/paths.ts";
import { isFrontendOf } from "../protocol/request.ts";
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";

/** The note of a request that was accepted. */
export interface Claim {
  readonly token: string;
  /** Kind of the backend that serves it. */
  readonly kind: string;
}

export interface DriverLook {
  readonly seen: DriverSeen;
  /** Of the request; empty without one. */
  readonly token: string;
  readonly claim: Claim | null;
  /** The backend device that the claim is about. */
  readonly device: DeviceId | null;
  /** Null without a request. */
  readonly nodes: Readonly<Record<string, string>> | null;
}

/** What is known of devices, besides the store. */
export interface DeviceKnowledge {
  /** Where a device's lane is; undefined without one. */
  phaseOf(id: DeviceId): Phase | undefined;
  /** Whether the kernel has a device of this number. */
  isRegistered(id: DeviceId): Promise<boolean>;
}

/** A note's text. */
export function formatClaim({ token, kind }: Claim): string {
  return `${token} ${kind}`;
}

/** One of our own; null when there is none. */
export async function readClaim(store: NodeAccess, id: RequestId): Promise<Claim | null> {
  const [token, kind] = (await store.readVisible(claimPath(id)))?.split(" ") ?? [];
  return token && kind && backendKindsFor(id.kind).includes(kind) ? { token, kind } : null;
}

/**
 * Looks at a request; `faulty` is for the caller to say.
 * @param t one transaction, so that all is of one instant
 */
export async function lookAsDriver(
  t: NodeAccess,
  id: RequestId,
  devices: DeviceKnowledge,
): Promise<DriverLook> {
  const [nodes, claim] = await Promise.all([readTree(t, requestPath(id)), readClaim(t, id)]);
  const { token = "", state = "", online, force, frontend } = nodes ?? {};
  const device = claim === null ? null : { ...id, kind: claim.kind };
  return {
    seen: {
      state: nodes === null ? null : parseRequestState(state) ?? "odd",
      online: online !== "0",
      force: force === "1",
      published: frontend !== undefined && isFrontendOf(frontend, id),
      claimed: claim !== null,
      faulty: false,
      device: claim === null
        ? await vacancy(t, id, devices)
        : await placeOf(t, { ...id, kind: claim.kind }, claim.token, devices),
    },
    token,
    claim,
    device,
    nodes,
  };
}

/** Of a device that was accepted. */
async function placeOf(
  t: NodeAccess,
  device: DeviceId,
  token: string,
  devices: DeviceKnowledge,
): Promise<DevicePlace> {
  const directory = backendPath(device);
  const [present, mark, state] = await Promise.all([
    absentOrHidden(t.read(directory)),
    t.readVisible(`${directory}/${REQUEST_MARK}`),
    t.readVisible(`${directory}/state`),
  ]);
  const phase = devices.phaseOf(device) ?? "absent";
  if (present === undefined) {
    if (phase !== "absent") return "busy";
    return await devices.isRegistered(device) ? "lingering" : "none";
  }
  if (mark !== token) return "foreign";
  if (phase === "connected") return "connected";
  if (phase === "failed" || phase === "busy") return "failed";
  return phase === "absent" && state === undefined ? "reserved" : "busy";
}

/** Before one is accepted: whether anything has its number. */
async function vacancy(
  t: NodeAccess,
  id: RequestId,
  devices: DeviceKnowledge,
): Promise<DevicePlace> {
  for (const kind of backendKindsFor(id.kind)) {
    const device = { ...id, kind };
    if (await absentOrHidden(t.read(backendPath(device))) !== undefined) return "foreign";
    if ((devices.phaseOf(device) ?? "absent") !== "absent") return "busy";
    if (await devices.isRegistered(device)) return "lingering";
  }
  return "none";
}
