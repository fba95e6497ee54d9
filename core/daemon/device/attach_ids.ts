/** The attach id: a node that tells the directory of one attach from another one that takes its place. */
import { backendPath, type DeviceId } from "../../xen/device_id.ts";
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { ConnectionError } from "../../xenstore/errors.ts";
import { type DeviceReader, readNodes, visible } from "./observer.ts";
import { prune } from "../prune.ts";
import { ATTACH_ID_NODE, readAttachId } from "./attach_id_node.ts";
import type { Observation } from "../../lifecycle/observation.ts";
import type { DirectoryKeeper } from "../capabilities/directories.ts";
import type { DeviceRecord } from "./device_record.ts";
import type { DevicePrefetch } from "./prefetch.ts";

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

/** What they are kept with. */
interface AttachIdParts {
  readonly store: StoreClient;
  readonly record: DeviceRecord;
  readonly reader: DeviceReader;
  readonly prefetch: DevicePrefetch;
  readonly directories: DirectoryKeeper;
}

/** Gives them, and knows them. */
export class AttachIds {
  readonly #id: DeviceId;
  readonly #parts: AttachIdParts;
  /** The id of the attach that is to come, once it was written. */
  #next: string | null = null;

  constructor(id: DeviceId, parts: AttachIdParts) {
    this.#id = id;
    this.#parts = parts;
  }

  /** The attach id by the journal; null if there is none. */
  get recorded(): string | null {
    return this.#parts.record.attachId;
  }

  /** That of the attach that is to come; null if none was written. */
  get next(): string | null {
    return this.#next;
  }

  /** Whether a directory that was seen has the id of the attach that is to come. */
  isNext({ attachId }: Observation): boolean {
    return this.#next !== null && attachId === this.#next;
  }

  /** That of the directory that was seen last, also of one that waits; null if it has none of ours. */
  of(seen: Observation): string | null {
    return this.recorded ?? (this.isNext(seen) ? this.#next : null);
  }

  /** Gives the directory the id of the attach that is to come. It may have one, so as to be looked at. */
  async mark(seen: Observation): Promise<void> {
    if (this.isNext(seen)) return;
    const attachId = crypto.randomUUID();
    this.#next = await this.#write(attachId, []) ? attachId : null;
  }

  /** Gives the directory an id by which the next look can tell whether all it reads is of this one. */
  async prove(): Promise<void> {
    const attachId = crypto.randomUUID();
    const nodes = await writeAttachId(this.#parts.store, this.#id, attachId, []);
    this.#next = nodes === null ? null : attachId;
  }

  /**
   * Records an attach that begins, and writes its id unless the directory was seen to have it.
   * @param again for the directory that was recorded already
   * @returns the id; null when there is no such directory any more
   */
  async begin(again: boolean, seen: Observation): Promise<string | null> {
    const { record, reader, prefetch } = this.#parts;
    const known = again ? this.recorded : this.#next;
    const isMarked = known !== null && known === seen.attachId;
    const attachId = isMarked ? known : crypto.randomUUID();
    // It is of this attach, and of no other.
    this.#next = null;
    record.begin(attachId);
    // What `add`, which comes next, is going to ask for: of the directory that has this attach id.
    if (!isMarked && !await this.#write(attachId, prefetch.names)) return null;
    return await reader.stillMarked(attachId) ? attachId : null;
  }

  /** The attach id of a directory that was set up before, which is given one if it has none. */
  async adopt(seen: Observation): Promise<string> {
    const known = this.of(seen);
    const attachId = known ?? crypto.randomUUID();
    if (this.recorded === null) {
      this.#next = null;
      this.#parts.record.adopt(attachId);
      if (known === null) await writeAttachId(this.#parts.store, this.#id, attachId, []);
    }
    return attachId;
  }

  /** The one that is to come is not used. */
  forgetNext(): void {
    this.#next = null;
  }

  /** Also removes what an earlier attach may have left in files. @param names to be read ahead */
  async #write(attachId: string, names: readonly string[]): Promise<boolean> {
    const { store, directories, reader, prefetch } = this.#parts;
    const [nodes] = await Promise.all([
      writeAttachId(store, this.#id, attachId, names),
      directories.remove(this.#id),
    ]);
    if (nodes === null) return false;
    reader.marked(attachId);
    if (names.length > 0) prefetch.keep(attachId, nodes);
    return true;
  }
}
