/** Devices by request: what commands and libraries call. */
import { CodedError } from "../../messages/error.ts";
import type { DeviceId } from "../../xen/device_id.ts";
import type { RequestId } from "../protocol/paths.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { isServerError } from "../../xenstore/errors.ts";
import { type Names, namesOf } from "../../toolstack/domains.ts";
import {
  DEFAULT_REQUEST_WAITS,
  devicePaths,
  lookAtRequest,
  type RequestOutcome,
  type RequestRun,
  type RequestWaits,
  runRequest,
} from "./run.ts";
import { OVER, type TimeLimit } from "../../toolstack/time_limit.ts";
import type { DeviceRequest } from "./plan.ts";

/** What may be said of each. */
export interface RequestOptions {
  readonly waits?: Partial<RequestWaits>;
  /** For all of it; default: none but the waits. */
  readonly limit?: TimeLimit;
  /** Ends the waiting; the request stays as it is. */
  readonly signal?: AbortSignal;
}

/** A device that a driver domain serves. */
export interface ServedDevice {
  /** `held`: it is prepared, and waits for `releaseRequest`. */
  readonly state: "connected" | "held";
  /** Its backend, which the driver domain has chosen. */
  readonly device: DeviceId | undefined;
  /** What stands behind it, in the driver domain; to be shown. */
  readonly pdev: string | undefined;
}

/**
 * Asks for a device and waits until it is there, or prepared if it is to be held.
 * @param options `undo`: the request is taken back, too, when `signal` ends the waiting
 * @throws CodedError: `exists`; `setup failed` with the driver domain's reason, or `no answer`,
 *   when all is undone again; `not permitted`; StoreError
 */
export async function attachByRequest(
  store: StoreClient,
  request: DeviceRequest,
  options: RequestOptions & { readonly hold?: boolean; readonly undo?: boolean } = {},
): Promise<ServedDevice> {
  const { signal, hold = false, undo = false } = options;
  const { id } = request;
  const creation = { request, token: crypto.randomUUID(), hold };
  try {
    return await served(store, id, await run(store, id, options, "creating", creation));
  } catch (error) {
    if (undo && signal?.aborted && (await lookAtRequest(store, id)).token === creation.token) {
      await run(
        store,
        id,
        { ...options.waits && { waits: options.waits }, limit: OVER },
        "forcing",
      );
    }
    throw error;
  }
}

/** Waits for a device that somebody has asked for, and goes on with it. @throws as attachByRequest */
export async function awaitRequest(
  store: StoreClient,
  id: RequestId,
  options: RequestOptions = {},
): Promise<ServedDevice> {
  return await served(store, id, await run(store, id, options, "waiting"));
}

/** Lets a device that is held be connected, and waits for it. @throws as attachByRequest */
export async function releaseRequest(
  store: StoreClient,
  id: RequestId,
  options: RequestOptions = {},
): Promise<ServedDevice> {
  const { request } = devicePaths(id);
  await store.transaction(async (t) => {
    // A plain write would make a request of its own.
    if (!await t.exists(`${request}/token`)) throw noRequest(await namesOf(t, id));
    await t.write(`${request}/hold`, "0");
  });
  return await awaitRequest(store, id, options);
}

/**
 * Gives a device back and waits until the driver domain holds nothing of it.
 * @throws CodedError `no device` without a request; `no answer` when the driver domain has not
 *   answered, and all was deleted without it
 */
export async function detachByRequest(
  store: StoreClient,
  id: RequestId,
  options: RequestOptions & { readonly force?: boolean } = {},
): Promise<void> {
  if (!await store.exists(devicePaths(id).request)) throw noRequest(await namesOf(store, id));
  const { phase } = await run(store, id, options, options.force ? "forcing" : "detaching");
  if (phase === "refused") throw noRequest(await namesOf(store, id));
  if (phase === "abandoned") throw abandoned(await namesOf(store, id));
}

function noRequest({ device, driver }: Names): CodedError {
  return new CodedError(
    "no-such-device",
    `${device}: there is no request for it to ${driver}; was it attached without one?`,
  );
}

function abandoned({ device, driver }: Names): CodedError {
  return new CodedError(
    "no-answer",
    `${device}: the driver domain, ${driver}, did not let go of it; its nodes were removed all ` +
      "the same",
  );
}

async function served(
  store: StoreClient,
  id: RequestId,
  { phase, look, failure }: RequestOutcome,
): Promise<ServedDevice> {
  const { device, pdev } = look.report;
  if (phase === "attached") return { state: "connected", device, pdev };
  if (phase === "held") return { state: "held", device, pdev };
  const { device: name } = await namesOf(store, id);
  if (phase === "refused") {
    throw new CodedError(
      "device-exists",
      `${name}: the guest has it, or a request for it, already`,
    );
  }
  const end = phase === "abandoned" ? "; it did not let go of it either" : "";
  if (failure !== null) {
    throw new CodedError(failure.late ? "no-answer" : "setup-failed", failure.text + end);
  }
  throw new CodedError("setup-failed", `${name}: removed while it was waited for`);
}

async function run(
  store: StoreClient,
  id: RequestId,
  { waits, signal, limit }: RequestOptions,
  beginning: Parameters<typeof runRequest>[1],
  creation?: RequestRun["creation"],
): Promise<RequestOutcome> {
  try {
    return await runRequest({
      store,
      id,
      waits: { ...DEFAULT_REQUEST_WAITS, ...waits },
      ...(creation === undefined ? {} : { creation }),
      ...(signal === undefined ? {} : { signal }),
      ...(limit === undefined ? {} : { limit }),
    }, beginning);
  } catch (error) {
    if (!isServerError(error, "EACCES", "EPERM")) throw error;
    throw new CodedError(
      "not-permitted",
      `this domain may not make requests (${error.message}): run it in the toolstack's, domain 0`,
    );
  }
}
