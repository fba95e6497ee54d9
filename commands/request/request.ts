/** `xdevd request …`: devices that driver domains make themselves (docs/request-protocol.md). */
import { printable } from "../../core/log/log.ts";
import { onTermination, printTo } from "../../platform/self.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import type { RequestId } from "../../core/requests/protocol/paths.ts";
import { nameIn, nameOfDomain, namesOf, resolveDomain } from "../../core/toolstack/domains.ts";
import { readDevice } from "../../core/toolstack/list_devices.ts";
import {
  attachByRequest,
  awaitRequest,
  detachByRequest,
  releaseRequest,
  type ServedDevice,
} from "../../core/requests/toolstack/request.ts";
import {
  type ListedRequest,
  listRequests,
  requestDaemon,
  setUpRequests,
} from "../../core/requests/toolstack/setup.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import {
  type DeviceReference,
  type DeviceResult,
  deviceResult,
  resultOf,
} from "../device/device_result.ts";
import { printJson } from "../json_output.ts";
import { describe, specContext } from "../device/describe.ts";
import { devidOf, frontendKindNamed } from "../device/kinds.ts";
import {
  type DeviceOptions,
  type DeviceSession,
  LAST_PATIENCE_MS,
  type ListOptions,
  say,
  timeLimit,
  withDevices,
} from "../device/session.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import { awaitDevice } from "../../core/toolstack/await_device.ts";
import { type WaitLevel } from "../../core/toolstack/wait_levels.ts";
import { withFreeDevid } from "../../core/toolstack/create.ts";
import type { WantedDevice } from "../../core/toolstack/resolved_spec.ts";

/** Options of the commands that wait, as parsed. */
export interface RequestCommandOptions extends DeviceOptions {
  /** Seconds. */
  readonly timeout: number;
  readonly hold?: boolean;
}

/** Options of `xdevd request detach`, as parsed. */
export interface RequestDetachOptions extends DeviceOptions {
  /** Seconds, for all of it; default: the usual waits. */
  readonly timeout?: number;
  readonly force?: boolean;
}

/** `xdevd request attach`. */
export async function attachRequest(
  device: string,
  guest: string,
  texts: readonly string[],
  options: RequestCommandOptions,
  builtIns: readonly BuiltIn[],
): Promise<number> {
  return await withDevices(options, async (session) => {
    const frontendDomid = await resolveDomain(session.store, guest);
    const context = await specContext(session, frontendDomid, options);
    const wanted = await describe(device, texts, context, options, builtIns);
    for (const warning of wanted.warnings) say(warning);
    const { timeout, hold = false } = options;
    const served = await requestDevice(session, frontendDomid, wanted, { timeout, hold });
    if (options.json) printJson(await servedResult(session.store, served));
    return ExitCode.Success;
  });
}

/** `xdevd request wait` and `release`. */
export async function continueRequest(
  what: "wait" | "release",
  named: NamedRequest,
  options: RequestCommandOptions,
  builtIns: readonly BuiltIn[],
): Promise<number> {
  const go = what === "wait" ? awaitRequest : releaseRequest;
  return await withRequest(named, options, builtIns, async (store, id) => {
    const limit = timeLimit(options.timeout);
    const waits = { waiting: limit.left() };
    const served = await interruptible(
      store,
      true,
      (signal) => go(store, id, { signal, waits, limit }),
    );
    if (options.json) printJson(await servedResult(store, { ...served, id }));
  });
}

/** `xdevd request detach`. */
export async function detachRequest(
  named: NamedRequest,
  options: RequestDetachOptions,
  builtIns: readonly BuiltIn[],
): Promise<number> {
  const { force = false, timeout, json } = options;
  return await withRequest(named, options, builtIns, async (store, id) => {
    const before = json ? await resultBefore(store, id) : null;
    const limit = timeout === undefined ? {} : { limit: timeLimit(timeout) };
    await interruptible(
      store,
      true,
      (signal) => detachByRequest(store, id, { force, signal, ...limit }),
    );
    if (before !== null) printJson(before);
  });
}

/** Which request is meant: as `xdevd request detach` and its like are told. */
export interface NamedRequest {
  readonly device: string;
  readonly guest: string;
  readonly which: string;
}

/** Does something about a request that there is. */
async function withRequest(
  { device, guest, which }: NamedRequest,
  options: DeviceOptions,
  builtIns: readonly BuiltIn[],
  work: (store: StoreClient, id: RequestId) => Promise<void>,
): Promise<number> {
  const frontendKind = await frontendKindNamed(device, options, builtIns);
  return await withDevices(options, async (session) => {
    const frontendDomid = await resolveDomain(session.store, guest);
    const devid = await devidOf(session, frontendDomid, frontendKind, which);
    const id = await findRequest(session.store, frontendKind, frontendDomid, devid);
    if (id === undefined) {
      const domain = await nameOfDomain(session.store, frontendDomid);
      throw new CodedError(
        "no-such-device",
        `there is no request for a ${frontendKind} ${which} of ${domain}`,
      );
    }
    await work(session.store, id);
    return ExitCode.Success;
  });
}

/** `xdevd request setup`. */
export async function setUp(domain: string, options: ListOptions): Promise<number> {
  return await withDevices(options, async ({ store }) => {
    const domid = await resolveDomain(store, domain);
    await setUpRequests(store, domid);
    if (options.json) {
      printJson({ backend: domid, backendName: await nameIn(store, domid) ?? null });
    }
    return ExitCode.Success;
  });
}

/** `xdevd request list`. */
export async function listRequested(
  domain: string | undefined,
  options: ListOptions,
): Promise<number> {
  return await withDevices(options, async ({ store }) => {
    const backend = domain === undefined ? undefined : await resolveDomain(store, domain);
    const requests = await listRequests(store, backend);
    if (options.json) {
      printJson(await Promise.all(requests.map((request) => described(store, request))));
    } else {
      const names = await Promise.all(requests.map(({ id }) => namesOf(store, id)));
      const width = Math.max("Request".length, ...names.map(({ device }) => device.length));
      const head = ["Backend", "Request".padEnd(width), "Wanted", "State        ", "Result      "];
      printTo(1, `${[...head, "Error"].join("  ")}\n`);
      for (const [at, { id, online, report }] of requests.entries()) {
        const { state, result, error } = report;
        const cells = [
          String(id.backendDomid).padEnd(7),
          names[at]!.device.padEnd(width),
          (online ? "yes" : "no").padEnd(6),
          (state ?? "-").padEnd(13),
          (result ?? "-").padEnd(12),
          error ?? "",
        ];
        printTo(1, `${printable(cells.join("  ").trimEnd())}\n`);
      }
    }
    return ExitCode.Success;
  });
}

async function described(
  store: StoreClient,
  { id, online, report }: ListedRequest,
): Promise<RequestResult> {
  const { state, result, error, pdev, device } = report;
  return {
    ...await resultOf(store, referenceTo(id), device ?? null),
    backend: id.backendDomid,
    backendName: await nameIn(store, id.backendDomid) ?? null,
    requestState: state ?? null,
    wanted: online,
    // The driver domain's word, of which there may be no more than that.
    hotplugStatus: result ?? null,
    hotplugError: error ?? null,
    physicalDevice: pdev ?? null,
  };
}

/** A device by a request, for programs. */
interface RequestResult extends DeviceResult {
  /** As docs/request-protocol.md has them; null where the driver domain has not said it. */
  readonly requestState: string | null;
  /** Whether the toolstack wants it still. */
  readonly wanted: boolean;
  /** What stands behind it in the driver domain. */
  readonly physicalDevice: string | null;
}

/** What was attached. */
interface ServedRequest extends ServedDevice {
  readonly id: RequestId;
}

/** What was attached, for programs. */
export async function servedResult(
  store: StoreClient,
  { id, state, device, pdev }: ServedRequest,
): Promise<RequestResult> {
  const result = await resultOf(store, referenceTo(id), device ?? null);
  return {
    ...result,
    // While it is held the guest has nothing of it.
    ...(state === "held" ? { state: "ready", frontendPath: null } : {}),
    backend: id.backendDomid,
    backendName: await nameIn(store, id.backendDomid) ?? null,
    requestState: state,
    wanted: true,
    physicalDevice: pdev ?? null,
  };
}

/** A device that is given back, as it was before. */
async function resultBefore(store: StoreClient, id: RequestId): Promise<DeviceResult> {
  const found = await readDevice(store, id.frontendDomid, id.kind, id.devid);
  const result = found === undefined
    ? await resultOf(store, referenceTo(id), null)
    : await deviceResult(store, found);
  return { ...result, backend: id.backendDomid, state: "closed" };
}

function referenceTo({ kind, frontendDomid, devid }: RequestId): DeviceReference {
  return { frontendKind: kind, frontendDomid, devid };
}

/** The request for a guest's device; undefined when there is none. */
export async function findRequest(
  store: StoreClient,
  frontendKind: string,
  frontendDomid: number,
  devid: number,
): Promise<RequestId | undefined> {
  const requests = await listRequests(store);
  return requests.find(({ id }) =>
    id.kind === frontendKind && id.frontendDomid === frontendDomid && id.devid === devid
  )?.id;
}

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
): Promise<ServedRequest> {
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
  const limit = timeLimit(timeout);
  return await withFreeDevid(
    devid,
    store,
    { frontendDomid, frontendKind },
    async (chosen) =>
      await interruptible(store, !undo, async (signal) => {
        const request = asked(wanted, chosen);
        const options = { hold, signal, undo, limit, waits: { waiting: limit.left() } };
        const served = {
          ...await attachByRequest(store, request, options),
          id: request.id,
        };
        const { device } = served;
        if (wait !== "connected" || device === undefined) return served;
        try {
          await Promise.race([
            awaitDevice(store, device, frontendKind, wait, Math.max(1, limit.left())),
            told(signal),
          ]);
        } catch (error) {
          // That nobody answers is being told already.
          await detachByRequest(store, request.id, { force: true, limit }).catch(() => {});
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
