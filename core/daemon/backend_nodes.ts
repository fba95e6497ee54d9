/** What the daemon itself writes into a backend directory. */
import { backendPath, type DeviceId, frontendPath, relativeBackendPath } from "../device/id.ts";
import { parseState, XenbusState } from "../device/states.ts";
import { printable } from "../log/log.ts";
import { absentOrHidden, type NodeAccess } from "../xenstore/access.ts";
import type { StoreClient } from "../xenstore/client.ts";
import { ConnectionError, isServerError } from "../xenstore/errors.ts";
import { parentPath } from "../xenstore/paths.ts";
import { readNodes, visible } from "./observe.ts";
import { TOKEN_NODE } from "./token.ts";
import type { Transaction } from "../xenstore/transaction.ts";

/** Longest `hotplug-error`, in characters. The guest can read it: short, and no secrets. */
const ERROR_MAX = 512;

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
  for (const each of [written, reading]) each.catch(() => {});
  const isWritten = await written;
  const nodes = await reading;
  const there = [...nodes.values()].filter((value) => value !== undefined).length;
  if (!isWritten) {
    // Refused for another reason than that there is none: the transaction says which.
    return there === 0 ? null : await markInTransaction(store, id, token, names);
  }
  if (there === 0 && await isOnlyMark(store, id, token)) return await undoMark(store, id, token);
  // Made anew between two of them, it has a mark no more.
  if (there < nodes.size && await readToken(store, id) !== token) return null;
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

/**
 * Removes what an undone add has left, so that scripts do not take the device for set up.
 * `hotplug-status` is emptied where it exists, as the toolstack creates it for some kinds.
 */
export async function cleanse(
  store: StoreClient,
  id: DeviceId,
  results: readonly string[],
): Promise<void> {
  const directory = backendPath(id);
  await store.transaction(async (t) => {
    if (!await visible(t, directory)) return;
    for (const name of [...results, "hotplug-error", TOKEN_NODE]) {
      await absentOrHidden(t.remove(`${directory}/${name}`));
    }
    const status = `${directory}/hotplug-status`;
    if (await t.readVisible(status)) await t.write(status, "");
  });
}

/** The last error of the kernel's backend (xenbus_dev_error, drivers/xen/xenbus/xenbus_client.c). */
async function kernelError(store: NodeAccess, id: DeviceId): Promise<string | undefined> {
  const path = `/local/domain/${id.backendDomid}/error/${relativeBackendPath(id)}/error`;
  return await store.readVisible(path);
}

/** Whether there is a directory, and it bears this mark (null: any will do). */
async function isMarked(t: NodeAccess, id: DeviceId, token: string | null): Promise<boolean> {
  return token === null ? await visible(t, backendPath(id)) : await readToken(t, id) === token;
}

/**
 * Asks for removal as a toolstack does (libxl_device.c, `libxl__initiate_device_generic_remove`).
 * @param token the mark that the directory must bear; null if it never had one
 */
export async function requestClose(
  store: StoreClient,
  id: DeviceId,
  token: string | null,
): Promise<void> {
  const directory = backendPath(id);
  await store.transaction(async (t) => {
    if (!await isMarked(t, id, token)) return;
    const state = await t.readVisible(`${directory}/state`);
    if (state === undefined) return;
    await t.write(`${directory}/online`, "0");
    if (parseState(state) !== XenbusState.Closed) {
      await t.write(`${directory}/state`, String(XenbusState.Closing));
    }
  });
}

/**
 * Makes sure that a failed add can be seen: `hotplug-status` says `error` (or `busy`, if the script
 * said so) and `hotplug-error` says why. What the script wrote stands.
 */
export async function publishError(
  store: StoreClient,
  id: DeviceId,
  error: string,
  token: string | null,
): Promise<void> {
  const directory = backendPath(id);
  await store.transaction(async (t) => {
    if (!await isMarked(t, id, token)) return;
    const status = await t.readOptional(`${directory}/hotplug-status`);
    if (!await t.readOptional(`${directory}/hotplug-error`)) {
      const kernel = await kernelError(t, id);
      const text = kernel === undefined ? error : `${error}; the kernel says: ${kernel}`;
      await t.write(`${directory}/hotplug-error`, printable(text).slice(0, ERROR_MAX));
    }
    if (status !== "error" && status !== "busy") {
      await t.write(`${directory}/hotplug-status`, "error");
    }
  });
}

/** Lets guest and toolstack see that a device no longer works: state Closing, and no more. */
export async function signalClosing(
  store: StoreClient,
  id: DeviceId,
  token: string | null,
): Promise<void> {
  const path = `${backendPath(id)}/state`;
  await store.transaction(async (t) => {
    if (!await isMarked(t, id, token)) return;
    const state = parseState(await t.readVisible(path) ?? "");
    if (state === XenbusState.Closing || state === XenbusState.Closed) return;
    await t.write(path, String(XenbusState.Closing));
  });
}

/**
 * Takes a backend to Closing and then to Closed, as its kernel driver would.
 * @param wanted whether it was when it was seen: by that, one that never had a mark is told from the
 * next one in its place
 */
export async function closeBackend(
  store: StoreClient,
  id: DeviceId,
  token: string | null,
  wanted?: boolean,
): Promise<void> {
  for (const next of [XenbusState.Closing, XenbusState.Closed]) {
    // In a transaction, since a plain write would bring a deleted directory back.
    await store.transaction(async (t) => {
      if (!await isMarked(t, id, token)) return;
      if (token === null && wanted !== undefined) {
        if ((await t.readVisible(`${backendPath(id)}/online`) === "1") !== wanted) return;
      }
      const path = `${backendPath(id)}/state`;
      const text = await t.readVisible(path);
      if (text === undefined) return;
      const state = parseState(text);
      if (state === XenbusState.Closed || state === next) return;
      await t.write(path, String(next));
    });
  }
}

/**
 * Deletes a backend directory, and the empty directories above it as far as that is permitted (a
 * driver domain usually may not).
 * @param token the mark it must bear, null if it never had one
 * @returns null, or why it was not deleted
 */
export async function deleteDirectory(
  store: StoreClient,
  id: DeviceId,
  frontendKind: string,
  token: string | null,
): Promise<string | null> {
  const directory = backendPath(id);
  return await store.transaction(async (t) => {
    if (await visible(t, directory) && !await isMarked(t, id, token)) {
      return "it is another one by now";
    }
    const online = await t.readVisible(`${directory}/online`);
    if (online === "1" && await visible(t, frontendPath(id, frontendKind))) {
      return "it is wanted again";
    }
    if (await visible(t, directory)) await t.remove(directory);
    // Not the root: where the domain may delete that, it could not make it again.
    await prune(t, directory, 2);
    return null;
  });
}

/** Removes empty, valueless directories above `path`, at most `levels`; a refusal ends it quietly. */
async function prune(t: Transaction, path: string, levels: number): Promise<void> {
  let parent = parentPath(path);
  for (let level = 0; level < levels && parent !== null && parent !== "/"; level++) {
    try {
      if ((await t.list(parent)).length > 0 || await t.readText(parent) !== "") return;
      await t.remove(parent);
    } catch (error) {
      if (isServerError(error, "EACCES", "EPERM", "ENOENT")) return;
      throw error;
    }
    parent = parentPath(parent);
  }
}
