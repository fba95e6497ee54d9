/** What the daemon itself writes into a backend directory. */
import {
  backendPath,
  type DeviceId,
  frontendPath,
  relativeBackendPath,
} from "../../xen/device_id.ts";
import { parseState, XenbusState } from "../../xen/states.ts";
import { isWeak } from "../../hotplug/run_script.ts";
import { oneLine } from "../../log/log.ts";
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";
import type { ErrorPublication } from "../lane_actions.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { reportOf, visible } from "./observer.ts";
import { prune } from "../prune.ts";
import { ATTACH_ID_NODE, readAttachId } from "./attach_id_node.ts";

/** Longest `hotplug-error`, in characters. The guest can read it: short, and no secrets. */
const ERROR_MAX = 512;

/**
 * Removes what an undone add has left, so that scripts do not take the device for set up.
 * `hotplug-status` is emptied where it exists, as the toolstack creates it for some kinds.
 * @param kept the attach id that stays, and without which nothing is done; null: it is removed, too
 */
export async function cleanse(
  store: StoreClient,
  id: DeviceId,
  results: readonly string[],
  kept: string | null = null,
): Promise<void> {
  const directory = backendPath(id);
  await store.transaction(async (t) => {
    if (!await visible(t, directory)) return;
    if (kept !== null && !await hasAttachId(t, id, kept)) return;
    const own = kept === null ? [ATTACH_ID_NODE] : [];
    for (const name of [...results, "hotplug-error", ...own]) {
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

/** Whether there is a directory, and it has this attach id (null: any will do). */
async function hasAttachId(t: NodeAccess, id: DeviceId, attachId: string | null): Promise<boolean> {
  return attachId === null
    ? await visible(t, backendPath(id))
    : await readAttachId(t, id) === attachId;
}

/**
 * Asks for removal as a toolstack does (libxl_device.c, `libxl__initiate_device_generic_remove`).
 * @param attachId the attach id that the directory must have; null if it never had one
 */
export async function requestClose(
  store: StoreClient,
  id: DeviceId,
  attachId: string | null,
): Promise<void> {
  const directory = backendPath(id);
  await store.transaction(async (t) => {
    if (!await hasAttachId(t, id, attachId)) return;
    const state = await t.readVisible(`${directory}/state`);
    if (state === undefined) return;
    await t.write(`${directory}/online`, "0");
    if (parseState(state) !== XenbusState.Closed) {
      await t.write(`${directory}/state`, String(XenbusState.Closing));
    }
  });
}

/** Between two errors that are published one beside the other. */
const BESIDES = "; and then: ";

/**
 * Makes sure that a failed add can be seen: `hotplug-status` says `error` (or `busy`, if the script
 * said so) and `hotplug-error` says why. What the script wrote stands, unless it names no cause.
 * @param how `besides`: the error is put behind what is said, in place of what was put there so before
 */
export async function publishError(
  store: StoreClient,
  id: DeviceId,
  error: string,
  attachId: string | null,
  { busy = false, besides = false }: ErrorPublication = {},
): Promise<void> {
  const directory = backendPath(id);
  await store.transaction(async (t) => {
    if (!await hasAttachId(t, id, attachId)) return;
    const status = await t.readOptional(`${directory}/hotplug-status`);
    const words = await t.readOptional(`${directory}/hotplug-error`);
    if (words && besides) {
      // Of what failed first the beginning stays, however long both are.
      const first = oneLine(words.split(BESIDES)[0]!, ERROR_MAX / 2);
      await t.write(`${directory}/hotplug-error`, oneLine(first + BESIDES + error, ERROR_MAX));
    } else if (!words || isWeak(words) && !isWeak(error)) {
      const kernel = await kernelError(t, id);
      const text = kernel === undefined ? error : `${error}; the kernel says: ${kernel}`;
      await t.write(`${directory}/hotplug-error`, oneLine(text, ERROR_MAX));
    }
    if (status !== "error" && status !== "busy") {
      await t.write(`${directory}/hotplug-status`, busy ? "busy" : "error");
    }
  });
}

/**
 * Makes sure that a device that was set up says so in `hotplug-status`, unless that says that it has
 * failed: the kernel's backend or the toolstack may wait for it.
 * @returns what it said, and why if it has failed; null when there is nothing to be said
 */
export async function publishSuccess(
  store: StoreClient,
  id: DeviceId,
  attachId: string | null,
): Promise<{ readonly status: string | undefined; readonly error: string } | null> {
  const directory = backendPath(id);
  return await store.transaction(async (t) => {
    if (!await hasAttachId(t, id, attachId)) return null;
    const status = await t.readVisible(`${directory}/hotplug-status`);
    const report = reportOf(status);
    if (report === "connected") return null;
    if (report === "none") await t.write(`${directory}/hotplug-status`, "connected");
    return { status, error: await t.readVisible(`${directory}/hotplug-error`) ?? "" };
  });
}

/** Lets guest and toolstack see that a device no longer works: state Closing, and no more. */
export async function signalClosing(
  store: StoreClient,
  id: DeviceId,
  attachId: string | null,
): Promise<void> {
  const path = `${backendPath(id)}/state`;
  await store.transaction(async (t) => {
    if (!await hasAttachId(t, id, attachId)) return;
    const state = parseState(await t.readVisible(path) ?? "");
    if (state === XenbusState.Closing || state === XenbusState.Closed) return;
    await t.write(path, String(XenbusState.Closing));
  });
}

/**
 * Takes a backend to Closing and then to Closed, as its kernel driver would.
 * @param wanted whether it was when it was seen: by that, one that never had an attach id is told from
 * the next one in its place. A wanted one says by now why it is closed, and the next one does not
 */
export async function closeBackend(
  store: StoreClient,
  id: DeviceId,
  attachId: string | null,
  wanted?: boolean,
): Promise<void> {
  for (const next of [XenbusState.Closing, XenbusState.Closed]) {
    // In a transaction, since a plain write would bring a deleted directory back.
    await store.transaction(async (t) => {
      if (!await hasAttachId(t, id, attachId)) return;
      if (attachId === null && wanted !== undefined) {
        const [online, status] = await Promise.all(
          ["online", "hotplug-status"].map((name) => t.readVisible(`${backendPath(id)}/${name}`)),
        );
        if ((online === "1") !== wanted || wanted && reportOf(status) !== "failed") return;
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
 * @param attachId the attach id that it must have; null if it never had one
 * @returns null, or why it was not deleted
 */
export async function deleteDirectory(
  store: StoreClient,
  id: DeviceId,
  frontendKind: string,
  attachId: string | null,
): Promise<string | null> {
  const directory = backendPath(id);
  return await store.transaction(async (t) => {
    if (await visible(t, directory) && !await hasAttachId(t, id, attachId)) {
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
