/** The states of a request, node `state`: the driver domain's account of how far it is. Pure. */
import type { Permission } from "../../xenstore/permissions.ts";
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";

/** In the order in which a request comes by them; each with what it means. */
export const REQUEST_STATES = {
  new:
    "The request is complete. Written by the toolstack, with all the rest of it, and never again.",
  preparing: "The driver domain has accepted it and does what takes long and needs no guest.",
  prepared: "The backend directory is there, but for its `state`. The toolstack is to publish it.",
  connecting: "The backend is in state 1; kernel and hotplug script do their part.",
  connected: "The script has succeeded. The guest may still be in any state.",
  disconnecting: "It is being removed: the backend closes, then the script undoes what it did.",
  disconnected: "Nothing is held any more, the backend directory is gone. Final.",
  error: "It failed and was undone; node `error` says why. Final until `online` is 0.",
} as const satisfies Record<string, string>;

export type RequestState = keyof typeof REQUEST_STATES;

/** Reads a `state` node; undefined unless it is exactly one of the words. */
export function parseRequestState(text: string): RequestState | undefined {
  return Object.hasOwn(REQUEST_STATES, text) ? text as RequestState : undefined;
}

/** Results of the hotplug script, node `hotplug-status` of a request. */
export const REQUEST_RESULTS = ["connected", "disconnected", "error", "busy"] as const;

export type RequestResult = typeof REQUEST_RESULTS[number];

/** Version of the protocol, node `version`. */
export const REQUEST_VERSION = "1";

/** Who writes a node; nobody else does. */
type Writer = "toolstack" | "driver domain";

interface RequestNode {
  readonly writer: Writer;
  readonly when: string;
  readonly meaning: string;
}

/** Below the directory of a request. */
export const REQUEST_NODES = {
  version: { writer: "toolstack", when: "creation", meaning: "`1`: the version of this protocol" },
  token: {
    writer: "toolstack",
    when: "creation",
    meaning:
      "random text, different for each request: the record and the backend directory bear it",
  },
  params: {
    writer: "toolstack",
    when: "creation",
    meaning: "the target: a path, or free text for the script; may be empty",
  },
  script: {
    writer: "toolstack",
    when: "creation",
    meaning:
      "the hotplug script, by absolute path or by name; empty for the driver domain's default",
  },
  "config/<name>": {
    writer: "toolstack",
    when: "creation",
    meaning:
      "what the backend directory is to have besides (`mode`, `mac`, `bridge`, …); see Configuration",
  },
  "publish/guest/<name>": {
    writer: "toolstack",
    when: "creation",
    meaning: "what the frontend directory will have, owned by the guest",
  },
  "publish/backend/<name>": {
    writer: "toolstack",
    when: "creation",
    meaning: "the same, owned by the driver domain (`mtu`)",
  },
  hold: {
    writer: "toolstack",
    when: "creation; later",
    meaning: "`1`: do not publish yet (a migration); for toolstacks, the driver domain ignores it",
  },
  online: {
    writer: "toolstack",
    when: "creation; removal",
    meaning: "`1` wanted, `0` to be removed; never `1` again",
  },
  frontend: {
    writer: "toolstack",
    when: "publishing",
    meaning: "path of the frontend directory, which exists from now on",
  },
  force: {
    writer: "toolstack",
    when: "removal",
    meaning: "`1`: do not wait for the guest",
  },
  state: {
    writer: "driver domain",
    when: "any time (`new`: by the toolstack)",
    meaning: "how far it is; see States",
  },
  backend: {
    writer: "driver domain",
    when: "`prepared`",
    meaning: "path of the backend directory; its kind is the driver domain's choice",
  },
  "hotplug-status": {
    writer: "driver domain",
    when: "`connected`, `error`; at the end",
    meaning: "`connected`, `error`, `disconnected`; empty before",
  },
  error: {
    writer: "driver domain",
    when: "`error`",
    meaning: "why, one line of at most 1024 bytes",
  },
  pdev: {
    writer: "driver domain",
    when: "`connected`",
    meaning: "the device that stands behind it, in the driver domain; to be shown, nothing else",
  },
} as const satisfies Record<string, RequestNode>;

/** Nodes that the driver domain writes: the toolstack makes them, empty, with permission for it. */
export const DRIVER_NODES = ["state", "backend", "hotplug-status", "error", "pdev"] as const;

/** Longest `error`, in bytes. */
export const ERROR_MAX = 1024;

/** Node of the backend directory, and of libxl's record, that has the request's token. */
export const REQUEST_MARK = "xdevd-request";

/** For what the driver domain reads: domain 0's own, and nobody else's. */
export function readable(backendDomid: number): Permission[] {
  return [{ domid: 0, access: "none" }, { domid: backendDomid, access: "read" }];
}

/** For what it writes. Domain 0 owns it, so it does not count against the driver domain's quota. */
export function writable(backendDomid: number): Permission[] {
  return [{ domid: 0, access: "none" }, { domid: backendDomid, access: "both" }];
}

/**
 * The values of nodes that are known by name, relative to a directory; null if that does not exist. What
 * else somebody has put there, and how much, makes no difference.
 */
export async function readKnown<Name extends string>(
  store: NodeAccess,
  path: string,
  names: readonly Name[],
): Promise<Partial<Record<Name, string>> | null> {
  const [directory, ...values] = await Promise.all([
    store.readVisible(path),
    ...names.map((name) => store.readVisible(`${path}/${name}`)),
  ]);
  if (directory === undefined) return null;
  const found = names.map((name, at) => [name, values[at]] as const)
    .filter(([, value]) => value !== undefined);
  return Object.fromEntries(found) as Partial<Record<Name, string>>;
}

/** Most nodes that are read, and most levels below the request: `publish/guest/port/1` is the fourth. */
const NODES_MAX = 300;
const LEVELS_MAX = 4;

/**
 * All nodes below a directory that only its reader's own side can write, by their names relative to it; null if it does not exist.
 * @throws RangeError when there are more than anybody could have meant
 */
export async function readTree(
  store: NodeAccess,
  path: string,
): Promise<Record<string, string> | null> {
  const nodes: Record<string, string> = {};
  let count = 0;
  const walk = async (directory: string, prefix: string, level: number): Promise<boolean> => {
    const names = await absentOrHidden(store.list(directory));
    if (names === undefined) return false;
    count += names.length;
    if (count > NODES_MAX) throw new RangeError(`there are more than ${NODES_MAX} nodes`);
    await Promise.all(names.map(async (name) => {
      const value = await store.readVisible(`${directory}/${name}`);
      if (value === undefined) return;
      nodes[`${prefix}${name}`] = value;
      if (value === "" && level < LEVELS_MAX) {
        await walk(`${directory}/${name}`, `${prefix}${name}/`, level + 1);
      }
    }));
    return true;
  };
  return await walk(path, "", 1) ? nodes : null;
}
