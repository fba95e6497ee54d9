/** Reading what the lifecycle needs to know of a device. */
import { backendPath, type DeviceId, frontendPath } from "../../xen/device_id.ts";
import { parseState, XenbusState } from "../../xen/states.ts";
import { ABSENT, type Observation } from "../../lifecycle/observation.ts";
import type { ProofOfSetup } from "../../../contract/v1/plugin.ts";
import { ATTACH_ID_NODE } from "./attach_id_node.ts";
import { type NodeAccess } from "../../xenstore/access.ts";

/** The nodes that are looked at. */
const NODES = ["state", "online", "frontend-id", "frontend", "hotplug-status"] as const;

/** What is read of a device: nodes, its attach id, and whether the guest's directory and its own exist. */
export type Part = typeof NODES[number] | "attach-id" | "guest" | "directory";

/** In the order of reading. */
export const ALL_PARTS: readonly Part[] = [...NODES, "attach-id", "guest", "directory"];

/**
 * What an event for a path at or below a device's directory may have changed: parts of it,
 * everything, or nothing that is looked at. Whatever deletes or makes the directory has an event of
 * its own: for the directory, or for one of the nodes without which it is no device. The attach id
 * is the daemon's own.
 */
export function changedBy(path: string, directory: string): Part | "all" | null {
  if (!path.startsWith(`${directory}/`)) return "all";
  const name = path.slice(directory.length + 1);
  return NODES.find((node) => node === name) ?? null;
}

/** Whether a node of a device's directory is one of those that are looked at. */
export function isLookedAt(name: string): boolean {
  return NODES.some((node) => node === name);
}

/** The text of each part; undefined when there is none. What exists without a text has an empty one. */
export type Reading = Readonly<Record<Part, string | undefined>>;

/**
 * Reads parts of a device, and what else is asked for in the same round trip.
 * @param parts in the order of {@link ALL_PARTS}
 * @param names of other nodes of its directory
 * @throws StoreError when the store cannot be asked
 */
export async function readParts(
  store: NodeAccess,
  id: DeviceId,
  frontendKind: string,
  parts: readonly Part[],
  names: readonly string[] = [],
): Promise<{ reading: Partial<Reading>; nodes: ReadonlyMap<string, string | undefined> }> {
  const directory = backendPath(id);
  const textOf = (name: string) => store.readVisible(`${directory}/${name}`);
  const nodes = readNodes(store, directory, names);
  nodes.catch(() => {});
  const present = async (path: string) => await visible(store, path) ? "" : undefined;
  const read = (part: Part) => {
    if (part === "attach-id") return textOf(ATTACH_ID_NODE);
    if (part === "guest") return present(frontendPath(id, frontendKind));
    return part === "directory" ? present(directory) : textOf(part);
  };
  const values = await Promise.all(parts.map(read));
  const reading: { -readonly [P in Part]?: string | undefined } = {};
  parts.forEach((part, index) => reading[part] = values[index]);
  return { reading, nodes: await nodes };
}

/** Values of a directory's nodes; undefined for those that there are not. */
export async function readNodes(
  store: NodeAccess,
  directory: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, string | undefined>> {
  const read = (name: string) => store.readVisible(`${directory}/${name}`);
  const values = await Promise.all(names.map(read));
  return new Map(names.map((name, index) => [name, values[index]]));
}

/**
 * What was read, as the lifecycle takes it.
 * @param proof what proves that an add has succeeded
 * @param hasResult whether what an add leaves was found
 */
export function observationOf(
  reading: Reading,
  id: DeviceId,
  frontendKind: string,
  proof: readonly ProofOfSetup[],
  hasResult: boolean,
): Observation {
  if (reading.directory === undefined) return ABSENT;
  const state = parseState(reading.state ?? "");
  const report = reportOf(reading["hotplug-status"]);
  return {
    present: true,
    online: reading.online === "1" ? true : reading.online === "0" ? false : undefined,
    state,
    frontendPresent: reading.guest !== undefined,
    served: report === "connected" || proof.includes("state") && state === XenbusState.Connected ||
      hasResult && report === "none" && (state ?? 0) >= XenbusState.InitWait,
    report,
    attachId: reading["attach-id"] ?? null,
    fault: identityFault(id, reading, frontendPath(id, frontendKind)),
  };
}

/** What node `hotplug-status` says. */
export function reportOf(status: string | undefined): Observation["report"] {
  if (status === "error" || status === "busy") return "failed";
  return status === "connected" ? "connected" : "none";
}

/** A node that should have been something else, in one line; null when all is well. */
export function oddityOf(reading: Reading): string | null {
  const { directory, state, online } = reading;
  if (directory === undefined) return null;
  if (state !== undefined && parseState(state) === undefined) {
    return `node state is ${quote(state)}; expected 0 to 8: ignored until it makes sense`;
  }
  if (online !== undefined && online !== "0" && online !== "1") {
    return `node online is ${quote(online)}; expected 0 or 1: ignored until it makes sense`;
  }
  return null;
}

/**
 * Whether a directory is there and readable. For a guest's directory the kernel's backends see it
 * likewise: one that is hidden from them is gone.
 */
export function visible(store: NodeAccess, path: string): Promise<boolean> {
  return store.readVisible(path).then(isThere);
}

function isThere(value: string | undefined): boolean {
  return value !== undefined;
}

/** Why the directory contradicts its own path: a script would be steered to another guest. */
function identityFault(
  id: DeviceId,
  { "frontend-id": frontendId, frontend }: Reading,
  expectedFrontend: string,
): string | null {
  if (frontendId !== String(id.frontendDomid)) {
    return `node frontend-id is ${quote(frontendId)}; its path says ${id.frontendDomid}`;
  }
  if (frontend !== expectedFrontend) {
    return `node frontend is ${quote(frontend)}; expected ${expectedFrontend}`;
  }
  return null;
}

/** A value for people, bounded. */
export function quote(value: string | undefined): string {
  if (value === undefined) return "missing";
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
}
