/** Waiting for a device that was asked for, as far as it was asked to be waited for. */
import { CodedError } from "../messages/error.ts";
import { backendPath, type DeviceId, frontendPath } from "../xen/device_id.ts";
import { parseState, XenbusState } from "../xen/states.ts";
import type { StoreClient } from "../xenstore/client.ts";
import { DeadlineError } from "../xenstore/errors.ts";
import { isWeak } from "../hotplug/run_script.ts";
import { oneLine } from "../log/log.ts";
import { wholeSeconds } from "./time_limit.ts";
import { type Names, namesOf } from "./domains.ts";
import type { WaitLevel } from "./wait_levels.ts";

/** Kinds that are set up by a script, or by what stands for one, which says `hotplug-status`. */
const SCRIPTED = new Set(["vbd", "vbd3", "vif"]);

/**
 * Of this one the kernel's backend needs to be told its device. Debian's `block` says `connected` without one when its
 * target is neither a file nor a block device; what xdevd makes of that comes a moment later. There are scripts that
 * name the device and say nothing; xdevd then says `connected`, `xl devd` does not.
 */
const NAMES_DEVICE = "vbd";

/** Longest reason that is shown, in characters; a daemon's are no longer. */
const REASON_MAX = 512;

/**
 * How long a driver domain has to complete its reason, in ms: a script says that it failed before it
 * ends, and only then its daemon can tell what it printed.
 */
const REASON_MS = 2_000;

interface Look {
  readonly present: boolean;
  /** Whether the guest's directory is there. */
  readonly guestPresent: boolean;
  readonly backendState: XenbusState | undefined;
  readonly frontendState: XenbusState | undefined;
  readonly status: string | undefined;
  readonly error: string | undefined;
  /** Whether the backend has been told its device. */
  readonly named: boolean;
}

/**
 * Waits for a device.
 * @param timeoutMs how long
 * @throws CodedError `setup failed` with the reason that the driver domain gives, `no answer` when
 *   the backend's side did nothing, `timeout` when the guest did not connect
 */
export async function awaitDevice(
  store: StoreClient,
  id: DeviceId,
  frontendKind: string,
  level: WaitLevel,
  timeoutMs: number,
): Promise<void> {
  if (level === "created") return;
  const backend = backendPath(id);
  const frontend = frontendPath(id, frontendKind);
  let last: Look | null = null;
  const look = async (): Promise<true | undefined> => {
    last = await lookAt(store, backend, frontend);
    const failure = failureOf(last);
    if (failure !== null && !isUnexplained(last)) throw failure(await namesOf(store, id));
    if (failure !== null) return true;
    return isReached(id.kind, last, level) ? true : undefined;
  };
  const abort = new AbortController();
  const options = { timeoutMs, signal: abort.signal };
  try {
    // Two watches: the guest's side lies elsewhere.
    await Promise.race([
      store.watchUntil(backend, look, options),
      ...(level === "connected" ? [store.watchUntil(frontend, look, options)] : []),
    ]);
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    if (level === "hotplug" && isNamedMutely(id.kind, last)) return;
    const kernels = await store.readVisible(errorPath(id));
    throw lateness(id.kind, await namesOf(store, id), last, level, timeoutMs, kernels);
  } finally {
    abort.abort(new Error("decided"));
  }
  if (last !== null && isUnexplained(last)) throw await explainedFailure(store, id, frontend, last);
}

/** How a backend's side is: `failed` also of one that has closed. */
export async function setupOf(
  store: StoreClient,
  id: DeviceId,
): Promise<"none" | "failed" | "done"> {
  const look = await lookAt(store, backendPath(id), frontendPath(id, id.kind));
  if (failureOf(look) !== null) return "failed";
  return isReached(id.kind, look, "hotplug") ? "done" : "none";
}

/** Whether it failed without a reason, or with one that may yet be completed. */
function isUnexplained({ status, error }: Look): boolean {
  return (status === "error" || status === "busy") && (!error || isWeak(error));
}

/** Waits a moment for a better reason. */
async function explainedFailure(
  store: StoreClient,
  id: DeviceId,
  frontend: string,
  first: Look,
): Promise<CodedError> {
  const backend = backendPath(id);
  let last = first;
  await store.watchUntil(backend, async () => {
    const look = await lookAt(store, backend, frontend);
    // Of one that is gone the reason is that of before.
    if (look.present) last = look;
    return look.present && isUnexplained(look) ? undefined : true;
  }, { timeoutMs: REASON_MS }).catch((error) => {
    if (!(error instanceof DeadlineError)) throw error;
  });
  return (failureOf(last) ?? failureOf(first)!)(await namesOf(store, id));
}

async function lookAt(store: StoreClient, backend: string, frontend: string): Promise<Look> {
  const read = (path: string) => store.readVisible(path);
  const [
    backendState,
    frontendState,
    status,
    error,
    number,
    path,
    directory,
    guests,
  ] = await Promise.all([
    read(`${backend}/state`),
    read(`${frontend}/state`),
    read(`${backend}/hotplug-status`),
    read(`${backend}/hotplug-error`),
    read(`${backend}/physical-device`),
    read(`${backend}/physical-device-path`),
    read(backend),
    read(frontend),
  ]);
  return {
    present: directory !== undefined,
    guestPresent: guests !== undefined,
    backendState: parseState(backendState ?? ""),
    frontendState: parseState(frontendState ?? ""),
    status,
    error,
    named: !!number || !!path,
  };
}

/** What it failed with, if it has, once the names are known. */
function failureOf(look: Look): ((names: Names) => CodedError) | null {
  const { present, guestPresent, backendState: state, status, error } = look;
  const side = ({ guest }: Names) =>
    guestPresent
      ? ""
      : `; the side of ${guest} is gone: detached by force, or gone with its domain`;
  const failure = (text: (names: Names) => string) => (names: Names) =>
    new CodedError("setup-failed", `${names.device}: ${text(names)}`);
  if (!present) return failure((names) => `removed while it was waited for${side(names)}`);
  const reason = error ? `: ${oneLine(error, REASON_MAX)}` : "";
  if (status === "error" || status === "busy") {
    return failure(({ driver }) =>
      `the driver domain, ${driver}, cannot set it up (hotplug-status ${status})${reason}`
    );
  }
  if (state === XenbusState.Closing || state === XenbusState.Closed) {
    return failure((names) => `its backend has closed (state ${state})${reason}${side(names)}`);
  }
  return null;
}

function isReached(kind: string, look: Look, level: WaitLevel): boolean {
  const { backendState = 0, frontendState, status } = look;
  const ready = SCRIPTED.has(kind)
    ? status === "connected" && (look.named || kind !== NAMES_DEVICE) || isUsed(kind, look)
    : status === "connected" || backendState >= XenbusState.InitWait;
  if (level === "hotplug") return ready;
  return ready && backendState === XenbusState.Connected &&
    frontendState === XenbusState.Connected;
}

/** The kernel's backend has opened the device that a script has named, and serves it: that needs no `hotplug-status`. */
function isUsed(kind: string, { named, backendState }: Look): boolean {
  return kind === NAMES_DEVICE && named && backendState === XenbusState.Connected;
}

/** To be asked when the time is up: a script that was still at work, or had failed, would have said more by then. */
function isNamedMutely(kind: string, look: Look | null): boolean {
  if (look === null || kind !== NAMES_DEVICE || !look.named) return false;
  return !look.status && (look.backendState ?? 0) >= XenbusState.InitWait;
}

/** Where a kernel's backend leaves its last error (linux, xenbus_client.c). */
function errorPath({ backendDomid, kind, frontendDomid, devid }: DeviceId): string {
  return `/local/domain/${backendDomid}/error/backend/${kind}/${frontendDomid}/${devid}/error`;
}

function lateness(
  kind: string,
  { device, guest, driver }: Names,
  look: Look | null,
  level: WaitLevel,
  timeoutMs: number,
  kernels: string | undefined,
): CodedError {
  const within = `within ${wholeSeconds(timeoutMs)}`;
  const said = kernels === undefined ? "" : ` (its kernel says: ${oneLine(kernels, 200)})`;
  const { backendState = 0, frontendState, status } = look ?? {};
  if (backendState < XenbusState.InitWait) {
    return new CodedError(
      "no-answer",
      `${device}: no backend in ${driver} took it up ${within}${said}: is the domain up, its ` +
        "backend driver loaded, or its daemon running?",
    );
  }
  if (status !== "connected" && SCRIPTED.has(kind)) {
    return new CodedError(
      "no-answer",
      `${device}: nobody in ${driver} set it up ${within}${said}: does its daemon run, and serve ` +
        "this kind?",
    );
  }
  if (kind === NAMES_DEVICE && !look?.named) {
    return new CodedError(
      "setup-failed",
      `${device}: ${driver} says that it is set up, but named no device for it ${within}${said}: ` +
        "is its target there?",
    );
  }
  return new CodedError(
    "not-in-time",
    `${device}: ${guest} did not connect to it ${within} (backend state ` +
      `${backendState}, frontend state ${frontendState ?? "unknown"}; waited for: ${level})`,
  );
}
