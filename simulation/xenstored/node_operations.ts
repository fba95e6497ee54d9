/** READ, DIRECTORY, DIRECTORY_PART, WRITE, MKDIR, RM. */
import { concat, nulTerminated, toText } from "../../core/xenstore/codec.ts";
import { PAYLOAD_MAX } from "../../core/xenstore/operations.ts";
import { baseName, parentPath } from "../../core/xenstore/paths.ts";
import { type Answer, type Call, DONE, onlyString, pathArgument, strings, viewOf } from "./call.ts";
import { Failure, require } from "./failure.ts";
import type { Node } from "./node.ts";
import { unsignedInt } from "./numbers.ts";
import { exceeds, nodeSize } from "./quotas.ts";
import { find, type Right } from "./rights.ts";
import { addChild, change, removeTree } from "./tree.ts";

const NOTHING = new Uint8Array(0);

/** The node that a single-path request names. @throws Failure EINVAL, ENOENT, EACCES */
export function target(call: Call, right: Right): { path: string; node: Node } {
  const path = pathArgument(call, onlyString(call));
  return { path, node: find(viewOf(call), path, call.connection, right) };
}

function childNames(node: Node): Uint8Array {
  return nulTerminated(...node.children);
}

/** Tells a value. */
export function read(call: Call): Answer {
  return { payload: target(call, "read").node.value };
}

/** Lists the children. */
export function directory(call: Call): Answer {
  return { payload: childNames(target(call, "read").node) };
}

/** Lists some of the children: whole names, from an offset, as many as fit. */
export function directoryPart(call: Call): Answer {
  const [pathBytes, offset, ...more] = strings(call);
  require(pathBytes !== undefined && offset !== undefined && more.length === 0, "EINVAL");
  const path = pathArgument(call, toText(pathBytes));
  const node = find(viewOf(call), path, call.connection, "read");
  const generation = nulTerminated(String(node.generation));
  // Unsigned: a negative offset is far behind the end.
  const list = childNames(node).subarray(unsignedInt(toText(offset)));
  const room = PAYLOAD_MAX - generation.length;
  if (list.length < room) return { payload: concat([generation, list, "\0"]) };
  // The empty name that would end it is left room for in any case.
  const whole = list.subarray(0, room - 1).lastIndexOf(0) + 1;
  return { payload: concat([generation, list.subarray(0, whole)]) };
}

/** Announces a change now, or at the commit of its transaction. */
function announce(call: Call, path: string, exact: boolean, node: Node): void {
  if (call.transaction !== null) call.transaction.announce(path, exact);
  else call.store.fire(path, exact, node);
}

/** Writes a value. */
export function write(call: Call): Answer {
  const { payload } = call.message;
  const nul = payload.indexOf(0);
  require(nul >= 0, "EINVAL");
  const path = pathArgument(call, toText(payload.subarray(0, nul)));
  // A copy: what came is a view of a larger buffer.
  writeNode(call, path, payload.slice(nul + 1));
  return DONE;
}

/** Creates a node, unless it is there. */
export function makeDirectory(call: Call): Answer {
  writeNode(call, pathArgument(call, onlyString(call)), null);
  return DONE;
}

/** Writes a value, or just makes sure that the node exists (null). */
function writeNode(call: Call, path: string, value: Uint8Array | null): void {
  const view = viewOf(call);
  let node: Node;
  try {
    node = find(view, path, call.connection, "write");
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== "ENOENT") throw error;
    create(call, path, value ?? NOTHING);
    announce(call, path, false, view.get(path)!);
    return;
  }
  if (value === null) return;
  checkSize(call, { ...node, value });
  change(view, path, node, { value });
  announce(call, path, false, view.get(path)!);
}

/**
 * Creates a node and its missing ancestors, with the permissions of the nearest that exists; all of
 * them or, when a quota forbids one, none.
 */
function create(call: Call, path: string, value: Uint8Array): void {
  const { connection, store } = call;
  const view = viewOf(call);
  const missing: string[] = [];
  let at: string | null = path;
  while (at !== null && view.get(at) === undefined) {
    missing.unshift(at);
    at = parentPath(at);
  }
  const ancestor = view.get(at ?? "/");
  require(ancestor !== undefined, "EIO");
  let { permissions } = ancestor;
  if (!connection.privileged) {
    // Whoever creates a node owns it; domain 0 leaves that to the owner of the directory.
    permissions = [
      { domid: connection.domid, access: permissions[0]?.access ?? "none" },
      ...permissions.slice(1),
    ];
    // What the transaction itself has created or removed does not count yet.
    const owned = store.tree.ownedBy(connection.domid) + missing.length;
    require(!exceeds(owned, store.quotas.nodes), "ENOSPC");
  }
  checkSize(call, ancestor, baseName(missing[0]!));
  const nodes = missing.map((name, index) => {
    const below = missing[index + 1];
    const own = below === undefined ? value : NOTHING;
    const node = { value: own, permissions, children: new Set<string>() };
    checkSize(call, node, below === undefined ? undefined : baseName(below));
    return [name, node] as const;
  });
  for (const [name, node] of nodes) {
    view.put(name, node);
    addChild(view, name);
  }
}

/**
 * Checks the size of a node that an unprivileged domain is about to write.
 * @param child name of a child that it is about to get
 * @throws Failure ENOSPC when it is too large; a transaction in which that happened cannot be
 *   committed any more
 */
export function checkSize(
  { connection, store, transaction }: Call,
  node: Pick<Node, "value" | "permissions" | "children">,
  child?: string,
): void {
  if (connection.privileged) return;
  const { nodeSize: limit } = store.quotas;
  // The C daemon refuses the limit itself.
  if (limit === 0 || nodeSize(node, child) < limit) return;
  if (transaction !== null) transaction.broken = "ENOMEM";
  throw new Failure("ENOSPC");
}

/** Removes a node with all below it. */
export function remove(call: Call): Answer {
  const path = pathArgument(call, onlyString(call));
  const view = viewOf(call);
  try {
    find(view, path, call.connection, "write");
  } catch (error) {
    const missing = error instanceof Failure && error.code === "ENOENT";
    if (missing && view.get(parentPath(path) ?? "/") !== undefined) return DONE;
    throw error;
  }
  require(path !== "/", "EINVAL");
  // Inner nodes first: whoever watches one of them is told of its own path.
  removeTree(view, path, (at, node) => announce(call, at, at !== path, node));
  return DONE;
}
