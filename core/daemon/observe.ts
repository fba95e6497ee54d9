/** Reading what the lifecycle needs to know of a device. */
import { backendPath, type DeviceId, frontendPath } from "../device/id.ts";
import { parseState, XenbusState } from "../device/states.ts";
import { ABSENT, type Observation } from "../lifecycle/observation.ts";
import { TOKEN_NODE } from "./token.ts";
import { absentOrHidden, type NodeAccess } from "../xenstore/access.ts";

/** The nodes that are looked at. */
const OBSERVED = ["state", "online", "frontend-id", "frontend", "hotplug-status"];

/**
 * Whether a look can find anything new after an event for a path at or below a device's directory.
 * Whatever deletes or makes the directory has an event of its own: for the directory, or for one of
 * the nodes without which it is no device. The mark is the daemon's own.
 */
export function concernsObservation(path: string, directory: string): boolean {
  if (!path.startsWith(`${directory}/`)) return true;
  return OBSERVED.includes(path.slice(directory.length + 1));
}

/** A look at a device, with what was odd about it. */
export interface Look {
  readonly observation: Observation;
  /** A node that should have been something else, in one line; null when all is well. */
  readonly oddity: string | null;
  /** What else was to be read, by name. */
  readonly more: ReadonlyMap<string, string | undefined>;
}

/**
 * @param names of nodes to be read besides, in the same round trip
 * @throws StoreError when the store cannot be asked
 */
export async function observe(
  store: NodeAccess,
  id: DeviceId,
  frontendKind: string,
  names: readonly string[] = [],
): Promise<Look> {
  const directory = backendPath(id);
  const expectedFrontend = frontendPath(id, frontendKind);
  const read = (name: string) => absentOrHidden(store.readText(`${directory}/${name}`));
  const more = Promise.all(names.map(async (name) => [name, await read(name)] as const));
  more.catch(() => {});
  const [
    stateText,
    onlineText,
    frontendId,
    frontend,
    status,
    token,
    frontendPresent,
    present,
  ] = await Promise.all([
    read("state"),
    read("online"),
    read("frontend-id"),
    read("frontend"),
    read("hotplug-status"),
    read(TOKEN_NODE),
    visible(store, expectedFrontend),
    // Last: deleted while it was read, it would pass for another one.
    visible(store, directory),
  ]);
  if (!present) return { observation: ABSENT, oddity: null, more: new Map() };
  const state = parseState(stateText ?? "");
  const online = onlineText === "1" ? true : onlineText === "0" ? false : undefined;
  return {
    observation: {
      present: true,
      online,
      state,
      frontendPresent,
      served: status === "connected" || state === XenbusState.Connected,
      token: token ?? null,
      fault: identityFault(id, frontendId, frontend, expectedFrontend),
    },
    oddity: state === undefined && stateText !== undefined
      ? `node state is ${quote(stateText)}; expected 0 to 8: ignored until it makes sense`
      : online === undefined && onlineText !== undefined
      ? `node online is ${quote(onlineText)}; expected 0 or 1: ignored until it makes sense`
      : null,
    more: new Map(await more),
  };
}

/**
 * Whether a directory is there and readable. For a guest's directory the kernel's backends see it
 * likewise: one that is hidden from them is gone.
 */
export async function visible(store: NodeAccess, path: string): Promise<boolean> {
  return await absentOrHidden(store.read(path)) !== undefined;
}

/** Why the directory contradicts its own path: a script would be steered to another guest. */
function identityFault(
  id: DeviceId,
  frontendId: string | undefined,
  frontend: string | undefined,
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
