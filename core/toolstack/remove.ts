/** Removing a device as libxl does (libxl_device.c, `libxl__initiate_device_generic_remove`). */
import { CodedError } from "../messages/error.ts";
import { backendPath, type DeviceId, frontendPath } from "../xen/device_id.ts";
import { parseState, XenbusState } from "../xen/states.ts";
import { absentOrHidden, type NodeAccess } from "../xenstore/access.ts";
import type { StoreClient } from "../xenstore/client.ts";
import { DeadlineError, isServerError } from "../xenstore/errors.ts";
import { recordPath } from "./nodes/plan.ts";
import { CLEANUP_MS, type TimeLimit, wholeSeconds, within } from "./time_limit.ts";
import { namesOf } from "./domains.ts";
import { parentPath } from "../xenstore/paths.ts";

/**
 * What happens when the guest does not let go: the removal fails; it is forced; it is forced from
 * the start (libxl_internal.h, `libxl__force`).
 */
export type Force = "off" | "auto" | "on";

/** How long each wait may take, in ms: for the backend to close, and for its directory to go. */
interface RemovalWaits {
  readonly closeMs: number;
  readonly directoryMs: number;
  /** For both, and for all that is done by force then; cleaning up may take {@link CLEANUP_MS} more. */
  readonly limit?: TimeLimit;
}

/** LIBXL_DESTROY_TIMEOUT (libxl_internal.h), twice. */
export const DEFAULT_REMOVAL_WAITS: RemovalWaits = { closeMs: 10_000, directoryMs: 10_000 };

/**
 * Removes a device and waits until its driver domain has let go of it.
 * @param id null for a device that has no backend
 * @throws CodedError `timeout` when the guest or the driver domain does not let go; forced, it is
 *   gone from the store all the same when the error is thrown
 */
export async function removeDevice(
  store: StoreClient,
  id: DeviceId | null,
  record: { readonly frontendDomid: number; readonly devid: number; readonly frontendKind: string },
  force: Force,
  waits: RemovalWaits = DEFAULT_REMOVAL_WAITS,
): Promise<void> {
  const { frontendKind } = record;
  if (id === null) return await destroy(store, [recordPath(record, frontendKind)]);
  const [back, front] = [backendPath(id), frontendPath(id, frontendKind)];
  const paths = [front, recordPath(record, frontendKind), back];
  let forced = force === "on";
  let waited = { closeMs: 0, directoryMs: 0 };
  while (await initiate(store, back, forced ? front : null)) {
    try {
      const extraMs = forced ? CLEANUP_MS : 0;
      waited = { ...waited, closeMs: within(waits.closeMs, waits.limit, extraMs) };
      await awaitClosed(store, back, waited.closeMs);
      waited = { ...waited, directoryMs: within(waits.directoryMs, waits.limit, extraMs) };
      await awaitGone(store, back, waited.directoryMs);
      break;
    } catch (error) {
      if (!(error instanceof DeadlineError)) throw error;
      if (!forced && force === "auto") {
        forced = true;
        continue;
      }
      if (forced) {
        await destroy(store, paths);
        const { device, driver } = await namesOf(store, id);
        throw new CodedError(
          "not-in-time",
          `${device}: the driver domain, ${driver}, did not let go of it within ` +
            `${wholeSeconds(waited.closeMs)}; its nodes were removed all the same`,
        );
      }
      throw await late(store, id, back, waited);
    }
  }
  await destroy(store, paths, back);
}

/** Tells the backend to close. @returns whether there is one */
async function initiate(
  store: StoreClient,
  back: string,
  frontend: string | null,
): Promise<boolean> {
  return await store.transaction(async (t) => {
    const state = await t.readVisible(`${back}/state`);
    if (state === undefined) return false;
    if (frontend !== null) await removeAndPrune(t, frontend);
    await t.write(`${back}/online`, "0");
    if (state !== String(XenbusState.Closed)) {
      await t.write(`${back}/state`, String(XenbusState.Closing));
    }
    return true;
  });
}

/** Closed, or gone altogether: a driver domain may delete its directory any time after. */
async function awaitClosed(store: StoreClient, back: string, timeoutMs: number): Promise<void> {
  await store.waitUntil(
    `${back}/state`,
    (state) => state === undefined || state === String(XenbusState.Closed),
    { timeoutMs },
  );
}

async function awaitGone(store: StoreClient, back: string, timeoutMs: number): Promise<void> {
  await store.waitUntil(back, (value) => value === undefined, { timeoutMs });
}

async function late(
  store: StoreClient,
  id: DeviceId,
  back: string,
  { closeMs, directoryMs }: { closeMs: number; directoryMs: number },
): Promise<CodedError> {
  const { device, guest, driver } = await namesOf(store, id);
  const state = parseState(await store.readVisible(`${back}/state`) ?? "");
  if (state !== XenbusState.Closed) {
    return new CodedError(
      "not-in-time",
      `${device}: ${guest} did not let go of it within ${wholeSeconds(closeMs)} ` +
        `(backend state ${state ?? "unknown"}): unmount it there, or use --force`,
    );
  }
  return new CodedError(
    "not-in-time",
    `${device}: it is closed, but the daemon of ${driver} did not release it ` +
      `within ${wholeSeconds(directoryMs)}: does it run? --force removes the nodes all the same`,
  );
}

/**
 * @param gone backend that has to be gone: if it is there, somebody else has removed the device, and
 *   attached another one since
 */
async function destroy(
  store: StoreClient,
  paths: readonly string[],
  gone?: string,
): Promise<void> {
  await store.transaction(async (t) => {
    if (gone !== undefined && await absentOrHidden(t.read(`${gone}/state`)) !== undefined) return;
    for (const path of paths) await removeAndPrune(t, path);
  });
}

/**
 * Removes a path and all below it, then its parents as long as they have neither value nor children
 * and may be removed. None there is no error.
 * @param t a transaction, if others may do the same: when they are ahead its commit tells, and it is
 *   done again
 */
export async function removeAndPrune(t: NodeAccess, path: string): Promise<void> {
  if (await absentOrHidden(t.read(path)) !== undefined) await removeIfThere(t, path);
  for (let parent = parentPath(path); parent !== null && parent !== "/";) {
    const [children, value] = await Promise.all([
      absentOrHidden(t.list(parent)),
      t.readVisible(parent),
    ]);
    if (children !== undefined) {
      if (children.length > 0 || value !== "") return;
      try {
        await removeIfThere(t, parent);
      } catch (error) {
        if (isServerError(error, "EACCES", "EPERM")) return;
        throw error;
      }
    }
    parent = parentPath(parent);
  }
}

/** xenstored 4.17 says EINVAL where the parent has gone since this node was seen. */
async function removeIfThere(t: NodeAccess, path: string): Promise<void> {
  try {
    await t.remove(path);
  } catch (error) {
    if (!isServerError(error, "ENOENT", "EINVAL")) throw error;
  }
}
