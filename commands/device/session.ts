/** What the toolstack's commands do before and after their work. */
import { parseDomid } from "../../core/xen/device_id.ts";
import { type LogLevel, printable } from "../../core/log/log.ts";
import { onTermination, printTo } from "../../platform/self.ts";
import { absentOrHidden } from "../../core/xenstore/access.ts";
import { type Connected, connectStore } from "../../machine/connect.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { isServerError } from "../../core/xenstore/errors.ts";
import { CodedError } from "../../core/messages/error.ts";
import { logToStderr } from "../devd/log_output.ts";
import type { Force } from "../../core/toolstack/remove.ts";
import type { WaitLevel } from "../../core/toolstack/await_device.ts";
import { systemClock } from "../../platform/clock.ts";
import type { TimeLimit } from "../../core/toolstack/time_limit.ts";
import type { PluginOptions } from "../plugin/set.ts";

/** A command's connection. */
export interface DeviceSession extends Connected {
  /** This domain; one that the store says nothing of is taken for domain 0. */
  readonly ownDomid: number;
}

/** Connects, works, disconnects. @throws CodedError where this domain may not */
export async function withDevices<T>(
  options: ListOptions & { readonly logLevel?: LogLevel },
  work: (session: DeviceSession) => Promise<T>,
): Promise<T> {
  logToStderr(options.logLevel ?? "warning");
  const connected = await connectStore(options.store);
  try {
    const text = await absentOrHidden(connected.store.readText("domid"));
    return await work({ ...connected, ownDomid: parseDomid(text ?? "") ?? 0 });
  } catch (error) {
    if (!isServerError(error, "EACCES", "EPERM")) throw error;
    throw new CodedError(
      "not-permitted",
      `not permitted here (${error.message}): run it in the toolstack's domain, domain 0`,
    );
  } finally {
    connected.store.close();
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

/** Ways of telling a driver domain. */
export const VIAS = ["stock", "request", "auto"] as const;
/** One of {@link VIAS}. */
type Via = typeof VIAS[number];

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
  /** How the driver domain is told; `auto`: by a request where it takes them. */
  readonly via: Via;
}

/** `detach` and its kin. */
export interface DetachOptions extends DeviceOptions {
  readonly force: Force;
  /** Seconds, for all of it; default: the usual waits. */
  readonly timeout?: number;
}
