/** Asking a driver domain for a device, and what a signal does to that. */
import { backendPath, frontendPath } from "../../core/xen/device_id.ts";
import { onTermination } from "../../platform/self.ts";
import { awaitDevice, type WaitLevel } from "../../core/toolstack/await_device.ts";
import { withFreeDevid } from "../../core/toolstack/create.ts";
import { nameOfDomain } from "../../core/toolstack/names.ts";
import type { WantedDevice } from "../../core/toolstack/resolved_spec.ts";
import {
  attachByRequest,
  detachByRequest,
  type ServedDevice,
} from "../../core/requests/toolstack/request.ts";
import { requestDaemon } from "../../core/requests/toolstack/setup.ts";
import { type DeviceSession, LAST_PATIENCE_MS, printJson } from "../device/session.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { CodedError } from "../../core/messages/error.ts";

/** How a device is asked for. */
interface RequestManner {
  /** Seconds. */
  readonly timeout: number;
  readonly hold?: boolean;
  /** How far it is waited for; `created` is no less than `hotplug` here, which is the default. */
  readonly wait?: WaitLevel;
  /** Whether a request is taken back when this process is told to end; else it stays. */
  readonly undo?: boolean;
}

/** Asks for a device and waits for it. @throws CodedError; nothing of it is left then */
export async function requestDevice(
  { store }: DeviceSession,
  frontendDomid: number,
  wanted: WantedDevice,
  { timeout, hold = false, wait = "hotplug", undo = false }: RequestManner,
): Promise<ServedDevice> {
  const { devid, frontendKind, backendDomid } = wanted;
  if (await requestDaemon(store, backendDomid) === undefined) {
    throw new CodedError(
      "no-answer",
      `no daemon in ${await nameOfDomain(
        store,
        backendDomid,
      )} takes requests: does it run, and was \`xdevd request ` +
        `setup ${backendDomid}\` done?`,
    );
  }
  const end = performance.now() + timeout * 1000;
  const left = () => Math.max(1, end - performance.now());
  return await withFreeDevid(
    devid,
    store,
    { frontendDomid, frontendKind },
    async (chosen) =>
      await interruptible(store, !undo, async (signal) => {
        const request = asked(wanted, chosen);
        const options = { hold, signal, undo, waits: { waiting: left() } };
        const served = await attachByRequest(store, request, options);
        const { device } = served;
        if (wait !== "connected" || device === undefined) return served;
        try {
          await Promise.race([
            awaitDevice(store, device, frontendKind, wait, left()),
            told(signal),
          ]);
        } catch (error) {
          // That nobody answers is being told already.
          await detachByRequest(store, request.id, { force: true }).catch(() => {});
          throw error;
        }
        return served;
      }),
  );
}

/** Is rejected when a signal comes. */
function told(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  if (signal.aborted) reject(signal.reason);
  else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
}

/** @throws CodedError for a device that cannot be requested */
function asked(wanted: WantedDevice, devid: number): ReturnType<WantedDevice["request"]> {
  try {
    return wanted.request(devid);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CodedError("bad-specification", error.message);
  }
}

/** Told to end, it ends; a store that does not answer is given up then. @param stays the request does, for `wait` or `detach` to go on with */
export async function interruptible<T>(
  store: StoreClient,
  stays: boolean,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const hint = stays ? "; `xdevd request list` shows what is under way" : "";
  const ignore = onTermination((signal) => {
    abort.abort(new Error(`${signal}: given up${hint}`));
    store.limitPatience(LAST_PATIENCE_MS);
  });
  try {
    return await work(abort.signal);
  } finally {
    ignore();
  }
}

/** What was attached, for programs. */
export function printServed(
  { state, device, pdev }: ServedDevice,
  frontendKind: string,
): void {
  // While it is held the guest has nothing of it.
  const published = device !== undefined && state === "connected";
  printJson({
    state,
    kind: device?.kind ?? null,
    frontendKind,
    backendDomid: device?.backendDomid ?? null,
    frontendDomid: device?.frontendDomid ?? null,
    devid: device?.devid ?? null,
    backend: device === undefined ? null : backendPath(device),
    frontend: published ? frontendPath(device, frontendKind) : null,
    pdev: pdev ?? null,
  });
}
