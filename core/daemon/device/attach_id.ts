/** The attach id: a node that tells the directory of one attach from another one that takes its place. */
import { backendPath, type DeviceId } from "../../xen/device_id.ts";
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { ConnectionError } from "../../xenstore/errors.ts";
import { readNodes, visible } from "./observe.ts";
import { prune } from "../prune.ts";
import { ATTACH_ID_NODE } from "./attach_id_node.ts";

/** There is no directory: the transaction, which would make one, is given up. */
class Absent extends Error {}

type Nodes = ReadonlyMap<string, string | undefined>;

/**
 * Writes an attach id into a directory.
 * @param names of its nodes to be read with that
 * @returns what was read, or null when there is no directory
 */
type Writing = (
  store: StoreClient,
  id: DeviceId,
  attachId: string,
  names: readonly string[],
) => Promise<Nodes | null>;

/** Writes an attach id, in the way that this domain's rights call for. */
export const writeAttachId: Writing = async (store, id, attachId, names) => {
  // What domain 0 writes is made, whatever is deleted meanwhile; others are refused.
  if (id.backendDomid === 0) return await writeInTransaction(store, id, attachId, names);
  try {
    return await writeIfThere(store, id, attachId, names);
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    // A transaction waits for the store to come back, if it does.
    if (await isOnlyAttachId(store, id, attachId)) return await removeAgain(store, id, attachId);
    return await writeInTransaction(store, id, attachId, names);
  }
};

const writeInTransaction: Writing = async (store, id, attachId, names) => {
  const directory = backendPath(id);
  return await store.transaction(async (t) => {
    const present = visible(t, directory);
    // Not within it: the C daemon notes and checks each node that a transaction has read. After its
    // beginning: if the directory is deleted or made meanwhile, the transaction is in conflict.
    const nodes = readNodes(store, directory, names);
    const written = t.write(`${directory}/${ATTACH_ID_NODE}`, attachId);
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
const writeIfThere: Writing = async (store, id, attachId, names) => {
  const directory = backendPath(id);
  const written = absentOrHidden(
    store.write(`${directory}/${ATTACH_ID_NODE}`, attachId).then(() => true),
  );
  const reading = readNodes(store, directory, names.length > 0 ? names : ["state"]);
  // Behind them, and in the same round trip: of what is asked for there is hardly ever everything.
  const found = readAttachId(store, id);
  for (const each of [written, reading, found]) each.catch(() => {});
  const isWritten = await written;
  const nodes = await reading;
  const there = [...nodes.values()].filter((value) => value !== undefined).length;
  if (!isWritten) {
    // Refused for another reason than that there is none: the transaction says which.
    return there === 0 ? null : await writeInTransaction(store, id, attachId, names);
  }
  if (there === 0 && await isOnlyAttachId(store, id, attachId)) {
    return await removeAgain(store, id, attachId);
  }
  // Made anew between two of them, it has no attach id any more.
  if (there < nodes.size && await found !== attachId) return null;
  // What was absent from all may have been so for want of a directory.
  return there === 0 || names.length === 0 ? new Map() : nodes;
};

/** Whether a directory has nothing but this attach id: then it exists only because that was written. */
async function isOnlyAttachId(store: NodeAccess, id: DeviceId, attachId: string): Promise<boolean> {
  const [children, found] = await Promise.all([
    absentOrHidden(store.list(backendPath(id))),
    readAttachId(store, id),
  ]);
  return children?.length === 1 && found === attachId;
}

/** Removes a directory that exists only because its attach id was written, and those above it. */
async function removeAgain(store: StoreClient, id: DeviceId, attachId: string): Promise<null> {
  const directory = backendPath(id);
  await store.transaction(async (t) => {
    if (!await isOnlyAttachId(t, id, attachId)) return;
    await t.remove(directory);
    await prune(t, directory, 2);
  });
  return null;
}

/** The attach id of a directory; undefined without one, or without directory. */
export async function readAttachId(store: NodeAccess, id: DeviceId): Promise<string | undefined> {
  return await store.readVisible(`${backendPath(id)}/${ATTACH_ID_NODE}`);
}
