/** What the server does for each operation. */
import {
  concat,
  type Message,
  nulTerminated,
  splitNul,
  toBytes,
  toText,
} from "../xenstore/codec.ts";
import { ArgumentError } from "../xenstore/errors.ts";
import { PAYLOAD_MAX } from "../xenstore/operations.ts";
import { domainPath, parentPath } from "../xenstore/paths.ts";
import { formatPermission, parsePermission, type Permission } from "../xenstore/permissions.ts";
import type { ServerConnection } from "./connection.ts";
import { Failure, require } from "./failure.ts";
import { canonicalPath } from "./paths.ts";
import { exceeds, nodeSize } from "./quotas.ts";
import { find, type Right } from "./rights.ts";
import type { SpecialName, XenstoreServer } from "./server.ts";
import { ServerTransaction } from "./transaction.ts";
import { addChild, change, descendants, type Node, type NodeView, removeChild } from "./tree.ts";

/** One request. */
export interface Call {
  readonly server: XenstoreServer;
  readonly connection: ServerConnection;
  readonly message: Message;
  readonly transaction: ServerTransaction | null;
}

/** How an operation is done. */
export interface Handler {
  /** Whether only domain 0 may ask for it. */
  readonly privileged?: boolean;
  /** Whether the transaction id is not even looked at. */
  readonly ignoresTransaction?: boolean;
  /** Does it and answers. @throws Failure to refuse it */
  run(call: Call): void;
}

const ACK = nulTerminated("OK");
const NOTHING = new Uint8Array(0);

/** All operations by name; those of later Xen versions are unknown here, as to 4.17. */
export const handlers: Readonly<Record<string, Handler>> = {
  CONTROL: { privileged: true, run: control },
  DIRECTORY: { run: (call) => answer(call, childNames(target(call, "read").node)) },
  DIRECTORY_PART: { run: directoryPart },
  READ: { run: (call) => answer(call, target(call, "read").node.value) },
  GET_PERMS: {
    run: (call) => {
      const { permissions } = target(call, "read").node;
      answer(call, nulTerminated(...permissions.map(formatPermission)));
    },
  },
  WATCH: { ignoresTransaction: true, run: watch },
  UNWATCH: { ignoresTransaction: true, run: unwatch },
  TRANSACTION_START: { run: startTransaction },
  TRANSACTION_END: { run: endTransaction },
  INTRODUCE: { privileged: true, run: introduce },
  RELEASE: { privileged: true, run: release },
  GET_DOMAIN_PATH: {
    run: (call) => answer(call, nulTerminated(domainPath(domidArgument(onlyString(call))))),
  },
  WRITE: { run: write },
  MKDIR: { run: makeDirectory },
  RM: { run: remove },
  SET_PERMS: { run: setPermissions },
  IS_DOMAIN_INTRODUCED: { privileged: true, run: isIntroduced },
  RESUME: { privileged: true, run: resume },
  SET_TARGET: { privileged: true, run: setTarget },
  RESET_WATCHES: { run: resetWatches },
};

function answer({ connection, message }: Call, payload: Uint8Array): void {
  require(payload.length <= PAYLOAD_MAX, "E2BIG");
  connection.reply(message, payload);
}

function acknowledge(call: Call): void {
  answer(call, ACK);
}

/** The payload as exactly one string: one NUL, at the end. */
function onlyString({ message }: Call): string {
  const { payload } = message;
  require(payload.indexOf(0) === payload.length - 1 && payload.length > 0, "EINVAL");
  return toText(payload.subarray(0, -1));
}

/** The payload's strings; bytes behind the last NUL do not count. */
function strings({ message }: Call): Uint8Array[] {
  const end = message.payload.lastIndexOf(0);
  return end < 0 ? [] : splitNul(message.payload.subarray(0, end + 1));
}

function viewOf({ server, transaction }: Call): NodeView {
  return transaction ?? server.tree;
}

function pathArgument(call: Call, text: string): string {
  return canonicalPath(text, call.connection.domid, call.server.quotas.pathLength);
}

/** The node that a single-path request names. */
function target(call: Call, right: Right): { path: string; node: Node } {
  const path = pathArgument(call, onlyString(call));
  return { path, node: find(viewOf(call), path, call.connection, right) };
}

function childNames(node: Node): Uint8Array {
  return nulTerminated(...node.children);
}

function directoryPart(call: Call): void {
  const [pathBytes, offsetBytes, ...more] = strings(call);
  require(pathBytes !== undefined && offsetBytes !== undefined && more.length === 0, "EINVAL");
  const path = pathArgument(call, toText(pathBytes));
  const node = find(viewOf(call), path, call.connection, "read");
  const offset = Number.parseInt(toText(offsetBytes), 10) || 0;
  const generation = nulTerminated(String(node.generation));
  const list = childNames(node).subarray(Math.max(0, offset));
  const room = PAYLOAD_MAX - generation.length;
  if (list.length < room) return answer(call, concat([generation, list, "\0"]));
  const whole = list.subarray(0, room).lastIndexOf(0) + 1;
  answer(call, concat([generation, list.subarray(0, whole)]));
}

/** Announces a change now, or at the commit of its transaction. */
function announce(call: Call, path: string, exact: boolean, node: Node): void {
  if (call.transaction !== null) call.transaction.announce(path, exact);
  else call.server.fire(path, exact, node);
}

function write(call: Call): void {
  const { payload } = call.message;
  const nul = payload.indexOf(0);
  require(nul >= 0, "EINVAL");
  const path = pathArgument(call, toText(payload.subarray(0, nul)));
  // A copy: what came is a view of a larger buffer.
  store(call, path, payload.slice(nul + 1));
  acknowledge(call);
}

function makeDirectory(call: Call): void {
  const path = pathArgument(call, onlyString(call));
  store(call, path, null);
  acknowledge(call);
}

/** Writes a value, or just makes sure that the node exists (null). */
function store(call: Call, path: string, value: Uint8Array | null): void {
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

/** Creates a node and its missing ancestors, with the permissions of the nearest that exists. */
function create(call: Call, path: string, value: Uint8Array): void {
  const { connection, server } = call;
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
    const owned = server.nodesOwnedBy(connection.domid) + missing.length;
    require(!exceeds(owned, server.quotas.nodes), "ENOSPC");
  }
  for (const [index, name] of missing.entries()) {
    const last = index === missing.length - 1;
    const node = { value: last ? value : NOTHING, permissions, children: new Set<string>() };
    checkSize(call, node);
    view.put(name, node);
    addChild(view, name);
  }
}

function checkSize(
  { connection, server }: Call,
  node: Pick<Node, "value" | "permissions" | "children">,
): void {
  if (connection.privileged) return;
  const { nodeSize: limit } = server.quotas;
  // The C daemon refuses the limit itself.
  require(limit === 0 || nodeSize(node) < limit, "ENOSPC");
}

function remove(call: Call): void {
  const path = pathArgument(call, onlyString(call));
  const view = viewOf(call);
  let node: Node;
  try {
    node = find(view, path, call.connection, "write");
  } catch (error) {
    const missing = error instanceof Failure && error.code === "ENOENT";
    if (missing && view.get(parentPath(path) ?? "/") !== undefined) return acknowledge(call);
    throw error;
  }
  require(path !== "/", "EINVAL");
  const inner = descendants(view, path).map((child) => [child, view.get(child)!] as const);
  // Inner nodes first: whoever watches one of them is told of its own path.
  for (const [child, was] of inner) {
    view.drop(child);
    announce(call, child, true, was);
  }
  view.drop(path);
  removeChild(view, path);
  announce(call, path, false, node);
  acknowledge(call);
}

function setPermissions(call: Call): void {
  const { connection, server } = call;
  const [pathBytes, ...texts] = strings(call);
  require(pathBytes !== undefined && texts.length > 0, "EINVAL");
  const permissions = permissionArguments(texts);
  const { permissions: limit } = server.quotas;
  require(connection.privileged || !exceeds(permissions.length, limit), "ENOSPC");
  const name = toText(pathBytes);
  if (name.startsWith("@")) return setSpecialPermissions(call, name, permissions);
  const path = pathArgument(call, name);
  const view = viewOf(call);
  const node = find(view, path, connection, "own");
  const owner = permissions[0]!.domid;
  require(connection.privileged || owner === node.permissions[0]?.domid, "EPERM");
  require(server.domains.has(owner), "ENOENT");
  const marked = permissions.map((entry) =>
    server.domains.has(entry.domid) ? entry : { ...entry, ignored: true }
  );
  checkSize(call, { ...node, permissions: marked });
  change(view, path, node, { permissions: marked });
  if (call.transaction !== null) call.transaction.announce(path, false);
  else server.fire(path, false, view.get(path)!, node.permissions);
  acknowledge(call);
}

function setSpecialPermissions(call: Call, name: string, permissions: Permission[]): void {
  const { connection, server } = call;
  require(name === "@introduceDomain" || name === "@releaseDomain", "ENOENT");
  require(connection.privileged, "EACCES");
  server.special[name as SpecialName] = permissions;
  acknowledge(call);
}

function permissionArguments(texts: readonly Uint8Array[]): Permission[] {
  try {
    return texts.map((text) => parsePermission(toText(text)));
  } catch (error) {
    if (error instanceof ArgumentError) throw new Failure("EINVAL");
    throw error;
  }
}

function watch(call: Call): void {
  const { connection, server } = call;
  const [pathBytes, token, ...more] = strings(call);
  require(pathBytes !== undefined && token !== undefined && more.length === 0, "EINVAL");
  const text = toText(pathBytes);
  const { path, relative } = watchPath(call, text);
  const twin = connection.watches.find((other) =>
    other.path === path && toText(other.token) === toText(token)
  );
  require(twin === undefined, "EEXIST");
  if (!connection.privileged) {
    const count = server.used(connection.domid, "watches") + 1;
    require(!exceeds(count, server.quotas.watches), "E2BIG");
  }
  const added = { path, relative, token: token.slice() };
  connection.watches.push(added);
  acknowledge(call);
  connection.event(path, added);
}

function watchPath(call: Call, text: string): { path: string; relative: number } {
  if (text.startsWith("@")) {
    require(text.length <= call.server.quotas.pathLength, "EINVAL");
    return { path: text, relative: 0 };
  }
  const path = pathArgument(call, text);
  const home = domainPath(call.connection.domid);
  return { path, relative: text.startsWith("/") ? 0 : home.length + 1 };
}

function unwatch(call: Call): void {
  const { watches } = call.connection;
  const [pathBytes, token, ...more] = strings(call);
  require(pathBytes !== undefined && token !== undefined && more.length === 0, "EINVAL");
  const { path } = watchPath(call, toText(pathBytes));
  const index = watches.findIndex((other) =>
    other.path === path && toText(other.token) === toText(token)
  );
  require(index >= 0, "ENOENT");
  watches.splice(index, 1);
  acknowledge(call);
}

function startTransaction(call: Call): void {
  const { connection, server, transaction } = call;
  require(transaction === null, "EBUSY");
  if (!connection.privileged) {
    const count = server.used(connection.domid, "transactions") + 1;
    require(!exceeds(count, server.quotas.transactions), "ENOSPC");
  }
  do {
    connection.lastTransaction = connection.lastTransaction === 0xffffffff
      ? 1
      : connection.lastTransaction + 1;
  } while (connection.transactions.has(connection.lastTransaction));
  const limit = connection.privileged ? 0 : server.quotas.transactionNodes;
  const id = connection.lastTransaction;
  connection.transactions.set(id, new ServerTransaction(id, server.tree, limit));
  answer(call, nulTerminated(String(id)));
}

function endTransaction(call: Call): void {
  const { connection, server, transaction } = call;
  const how = onlyString(call);
  require(how === "T" || how === "F", "EINVAL");
  require(transaction !== null, "ENOENT");
  // Whatever comes of it, the id is gone.
  connection.transactions.delete(transaction.id);
  if (how === "T") {
    for (const { path, exact, node } of transaction.commit()) server.fire(path, exact, node);
  }
  acknowledge(call);
}

/** A domid as 4.17 reads it, with C's `atoi`: what is no number is 0, and nothing is too large. */
function domidArgument(text: string | undefined): number {
  return (Number.parseInt(text ?? "", 10) || 0) >>> 0;
}

function introduce(call: Call): void {
  const [domid, frame, port, ...more] = strings(call).map(toText);
  require(domid !== undefined && frame !== undefined && more.length === 0, "EINVAL");
  require((Number.parseInt(port ?? "", 10) || 0) > 0, "EINVAL");
  call.server.introduce(domidArgument(domid));
  acknowledge(call);
}

function release(call: Call): void {
  const domid = domidArgument(onlyString(call));
  require(domid !== 0, "EINVAL");
  require(call.server.domains.has(domid), "ENOENT");
  call.server.destroy(domid);
  acknowledge(call);
}

/** DOMID_SELF (xen/include/public/xen.h). */
const DOMID_SELF = 0x7ff0;

function isIntroduced(call: Call): void {
  const domid = domidArgument(onlyString(call));
  const known = domid === DOMID_SELF || call.server.domains.has(domid);
  answer(call, nulTerminated(known ? "T" : "F"));
}

function resume(call: Call): void {
  const domid = domidArgument(onlyString(call));
  require(domid !== 0, "EINVAL");
  require(call.server.domains.has(domid), "ENOENT");
  acknowledge(call);
}

function setTarget(call: Call): void {
  const [domid, to, ...more] = strings(call).map(toText);
  require(domid !== undefined && to !== undefined && more.length === 0, "EINVAL");
  const [from, onto] = [domidArgument(domid), domidArgument(to)];
  require(call.server.domains.has(from) && call.server.domains.has(onto), "ENOENT");
  call.server.setTarget(from, onto);
  acknowledge(call);
}

function resetWatches(call: Call): void {
  call.connection.watches.length = 0;
  call.connection.transactions.clear();
  acknowledge(call);
}

/** Commands for the daemon itself. */
const controlCommands: Readonly<Record<string, (args: readonly string[]) => Uint8Array>> = {
  check: () => ACK,
  help: () => toBytes("check\0help\0print\0"),
  print: (args) => {
    require(args.length === 1, "EINVAL");
    return ACK;
  },
};

function control(call: Call): void {
  const [command, ...args] = strings(call).map(toText);
  const run = controlCommands[command ?? ""];
  require(run !== undefined, "EINVAL");
  answer(call, run(args));
}
