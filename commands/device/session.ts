/** What the toolstack's commands do before and after their work. */
import { parseDomid } from "../../core/xen/device_id.ts";
import { printable } from "../../core/log/log.ts";
import type { LogLevel } from "../../core/log/levels.ts";
import { onTermination, printTo } from "../../platform/self.ts";
import { absent, absentOrHidden } from "../../core/xenstore/access.ts";
import { type Connected, connectStore } from "../../machine/connect.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DeadlineError, isServerError } from "../../core/xenstore/errors.ts";
import { CodedError } from "../../core/messages/error.ts";
import { logToStderr } from "../devd/log_output.ts";
import type { Force } from "../../core/toolstack/remove.ts";
import type { WaitLevel } from "../../core/toolstack/wait_levels.ts";
import { systemClock } from "../../platform/clock.ts";
import { type TimeLimit, wholeSeconds } from "../../core/toolstack/time_limit.ts";
import type { PluginOptions } from "../plugin/set.ts";
import type { Via } from "./vias.ts";

/** A command's connection. */
export interface DeviceSession extends Connected {
  /** This domain; one that the store says nothing of is taken for domain 0. */
  readonly ownDomid: number;
}

/**
 * Connects, works, disconnects.
 * @param options `serve`: what this domain cannot see yet is waited for, for `timeout` seconds
 * @throws CodedError where this domain may not
 */
export async function withDevices<T>(
  options: ListOptions & Partial<Pick<AttachOptions, "logLevel" | "serve" | "timeout">>,
  work: (session: DeviceSession) => Promise<T>,
): Promise<T> {
  logToStderr(options.logLevel ?? "warning");
  const connected = await connectStore(options.store);
  try {
    const { serve = false, timeout = 0 } = options;
    const text = serve
      ? await ownDomidInTime(connected.store, timeout)
      : await absentOrHidden(connected.store.readText("domid"));
    return await work({ ...connected, ownDomid: parseDomid(text ?? "") ?? 0 });
  } catch (error) {
    if (!isServerError(error, "EACCES", "EPERM")) throw error;
    throw new CodedError(
      "not-permitted",
      `not permitted here (${error.message})` +
        (options.serve ? "" : ": run it in the toolstack's domain, domain 0"),
    );
  } finally {
    connected.store.close();
  }
}

/** Between two looks at what no event may tell of, in ms. */
const LOOK_PAUSE_MS = 500;

/**
 * Repeats a look until it finds something. What this domain may not see is not there yet: early in its start
 * the toolstack has not made all of its nodes.
 * @param path where changes are followed
 * @param look undefined: not yet
 * @throws DeadlineError
 */
export async function whenVisible<T>(
  store: StoreClient,
  path: string,
  look: () => Promise<T | undefined>,
  timeoutMs: number,
): Promise<T> {
  const end = systemClock.now() + timeoutMs;
  for (;;) {
    const left = end - systemClock.now();
    try {
      return await store.watchUntil(
        path,
        () =>
          look().catch((error) => {
            if (isServerError(error, "EACCES", "EPERM")) return undefined;
            throw error;
          }),
        // A change of what is above, or of who may see it, fires no watch.
        { timeoutMs: Math.max(1, Math.min(left, LOOK_PAUSE_MS)) },
      );
    } catch (error) {
      if (!(error instanceof DeadlineError) || left <= LOOK_PAUSE_MS) throw error;
    }
  }
}

/** This domain's domid; undefined where nothing hides it, and it is not there: in domain 0. */
async function ownDomidInTime(store: StoreClient, seconds: number): Promise<string | undefined> {
  try {
    const look = async () => ({ text: await absent(store.readText("domid")) });
    const { text } = await untilTerminated(
      store,
      (told) => Promise.race([whenVisible(store, "domid", look, seconds * 1000), told]),
    );
    return text;
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    throw new CodedError(
      "no-answer",
      `the toolstack did not tell this domain its domid within ${wholeSeconds(seconds * 1000)}`,
    );
  }
}

/** How long a command that was told to end waits for a store that does not answer, in ms. */
export const LAST_PATIENCE_MS = 2_000;

/**
 * Does work that is to end in good order when this process is told to end (TERM, INT).
 * @param store that the work waits for: one that does not answer is given up then
 * @param work gets a promise that is rejected then, once; a second signal changes nothing
 */
export async function untilTerminated<T>(
  store: StoreClient,
  work: (told: Promise<never>) => Promise<T>,
): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  const ignore = onTermination((signal) => {
    reject(new Error(`${signal}: given up`));
    store.limitPatience(LAST_PATIENCE_MS);
  });
  try {
    return await work(promise);
  } finally {
    ignore();
  }
}

/** A limit of so many seconds, from now on. */
export function timeLimit(seconds: number): TimeLimit {
  const end = systemClock.now() + seconds * 1000;
  return { left: () => end - systemClock.now() };
}

export function say(line: string): void {
  printTo(2, `xdevd: ${printable(line)}\n`);
}

/** What all commands for devices have. */
export interface ListOptions {
  readonly store?: string;
  readonly json?: boolean;
}

export interface DeviceOptions extends ListOptions, PluginOptions {
  /** The daemon's, where the backend is in this domain. */
  readonly runDir: string;
  readonly scripts: readonly string[];
  readonly scriptPath: string;
  readonly logLevel: LogLevel;
}

/** `attach` and its kin. */
export interface AttachOptions extends DeviceOptions {
  readonly wait: WaitLevel;
  /** Seconds. */
  readonly timeout: number;
  readonly dryRun?: boolean;
  readonly serve?: boolean;
  /** With `serve`: for whatever guest has such a device. */
  readonly anyGuest?: boolean;
  /** How the driver domain is told; `auto`: by a request where it takes them. */
  readonly via: Via;
}

/** `detach` and its kin. */
export interface DetachOptions extends DeviceOptions {
  readonly force: Force;
  /** Seconds, for all of it; default: the usual waits. */
  readonly timeout?: number;
}
