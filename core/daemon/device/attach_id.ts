/** Marking a device's directory as the one of an attach: by that it is told from one that takes its place. */
import { backendPath, type DeviceId } from "../../xen/device_id.ts";
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { ConnectionError } from "../../xenstore/errors.ts";
import { readNodes, visible } from "./observe.ts";
import { prune } from "../prune.ts";
import { TOKEN_NODE } from "./attach_id_node.ts";

/** There is no directory: the transaction, which would make one, is given up. */
class Absent extends Error {}

type Nodes = ReadonlyMap<string, string | undefined>;

/**
 * Marks a directory.
 * @param names of its nodes to be read with that
 * @returns what was read, or null when there is no directory
 */
type Marking = (
  store: StoreClient,
  id: DeviceId,
  token: string,
  names: readonly string[],
) => Promise<Nodes | null>;

/** Marks a directory, in the way that this domain's rights call for. */
export const writeToken: Marking = async (store, id, token, names) => {
  // What domain 0 writes is made, whatever is deleted meanwhile; others are refused.
  if (id.backendDomid === 0) return await markInTransaction(store, id, token, names);
  try {
    return await markIfThere(store, id, token, names);
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    // A transaction waits for the store to come back, if it does.
    if (await isOnlyMark(store, id, token)) return await undoMark(store, id, token);
    return await markInTransaction(store, id, token, names);
  }
};

const markInTransaction: Marking = async (store, id, token, names) => {
  const directory = backendPath(id);
  return await store.transaction(async (t) => {
    const present = visible(t, directory);
    // Not within it: the C daemon notes and checks each node that a transaction has read. After its
    // beginning: if the directory is deleted or made meanwhile, the transaction is in conflict.
    const nodes = readNodes(store, directory, names);
    const written = t.write(`${directory}/${TOKEN_NODE}`, token);
    for (const each of [nodes, written]) each.catch(() => {});
    if (!await present) throw new Absent();
    await written;
    return await nodes;
  }).catch((error) => {
    if (error instanceof Absent) return null;
    throw error;
  });
};

/**
 * Without a transaction, which is three requests more: the directories of its devices are the
 * toolstack's to make. Where a domain may make them, and has just brought a deleted one back, what is
 * read behind the write shows it.
 */
const markIfThere: Marking = async (store, id, token, names) => {
  const directory = backendPath(id);
  const written = absentOrHidden(
    store.write(`${directory}/${TOKEN_NODE}`, token).then(() => true),
  );
  const reading = readNodes(store, directory, names.length > 0 ? names : ["state"]);
  // Behind them, and in the same round trip: of what is asked for there is hardly ever everything.
  const mark = readToken(store, id);
  for (const each of [written, reading, mark]) each.catch(() => {});
  const isWritten = await written;
  const nodes = await reading;
  const there = [...nodes.values()].filter((value) => value !== undefined).length;
  if (!isWritten) {
    // Refused for another reason than that there is none: the transaction says which.
    return there === 0 ? null : await markInTransaction(store, id, token, names);
  }
  if (there === 0 && await isOnlyMark(store, id, token)) return await undoMark(store, id, token);
  // Made anew between two of them, it has a mark no more.
  if (there < nodes.size && await mark !== token) return null;
  // What was absent from all may have been so for want of a directory.
  return there === 0 || names.length === 0 ? new Map() : nodes;
};

/** Whether a directory has nothing but this mark: then it is there by that alone. */
async function isOnlyMark(store: NodeAccess, id: DeviceId, token: string): Promise<boolean> {
  const [children, mark] = await Promise.all([
    absentOrHidden(store.list(backendPath(id))),
    readToken(store, id),
  ]);
  return children?.length === 1 && mark === token;
}

/** Removes a directory that is there by its mark alone, and what was made with it above. */
async function undoMark(store: StoreClient, id: DeviceId, token: string): Promise<null> {
  const directory = backendPath(id);
  await store.transaction(async (t) => {
    if (!await isOnlyMark(t, id, token)) return;
    await t.remove(directory);
    await prune(t, directory, 2);
  });
  return null;
}

/** The mark of a directory; undefined without one, or without directory. */
export async function readToken(store: NodeAccess, id: DeviceId): Promise<string | undefined> {
  return await store.readVisible(`${backendPath(id)}/${TOKEN_NODE}`);
}
