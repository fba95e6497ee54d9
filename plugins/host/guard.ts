/**
 * What holds for every plugin, whatever carries it: a call ends when its time is up, whether the
 * plugin obeys or not, and a plugin whose call has ended can do nothing more with its device.
 */
import { oneLine } from "../../core/log/log.ts";
import type { Cancel, Clock } from "../../core/platform/types.ts";
import type { Device, PluginOperations } from "../contract.ts";
import { intercept } from "./intercept.ts";

/** How long calls may take. */
export interface CallLimits {
  /** Until the signal fires by itself, in ms. */
  readonly operationMs: number;
  /** How long a plugin may then still take before it is left behind, in ms. */
  readonly graceMs: number;
}

/** Longest error text that is passed on, in characters. */
const ERROR_MAX = 1000;

/** Makes the device of a call, given how long it still has. */
export type DeviceMaker = (timeLeft: () => number) => Device;

/**
 * Calls `use` with a device that works until the call has ended.
 * @param name of the plugin, for messages
 * @throws Error with what the plugin threw, or that it did not end in time
 */
export async function guardedCall<T>(
  name: string,
  makeDevice: DeviceMaker,
  use: (device: Device, signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
  { clock, limits, onUse }: {
    clock: Clock;
    limits: CallLimits;
    /** Told of each use of a capability, by name. */
    onUse?: (capability: string) => void;
  },
): Promise<T> {
  const abort = new AbortController();
  const gaveUp = Promise.withResolvers<never>();
  const end = clock.now() + limits.operationMs;
  let ended = false;
  let cancelGrace: Cancel = () => {};
  const stop = (reason: Error) => {
    if (abort.signal.aborted) return;
    cancelGrace = clock.after(limits.graceMs, () =>
      gaveUp.reject(
        new Error(`plugin ${name} did not stop within ${limits.graceMs / 1000} s: left behind`),
      ));
    abort.abort(reason);
  };
  const onAbort = () => stop(errorOf(signal.reason));
  const cancelDeadline = clock.after(
    limits.operationMs,
    () => stop(new Error(`it did not end within ${limits.operationMs / 1000} s`)),
  );
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  const timeLeft = () => abort.signal.aborted ? 0 : Math.max(0, end - clock.now());
  const device = intercept(makeDevice(timeLeft), (capability) => {
    if (ended) throw new Error(`${capability}: the call has ended`);
    onUse?.(capability);
  });
  try {
    // In a promise's executor, since it may throw before it returns a promise.
    const work = new Promise<T>((resolve) => resolve(use(device, abort.signal)));
    return await Promise.race([work, gaveUp.promise]);
  } catch (error) {
    throw errorOf(error);
  } finally {
    ended = true;
    cancelDeadline();
    cancelGrace();
    signal.removeEventListener("abort", onAbort);
  }
}

/** What a check answered: null, or why the device cannot work. @throws Error when it is neither */
export function checkAnswer(name: string, answer: unknown): string | null {
  if (answer === null || answer === undefined) return null;
  if (typeof answer === "string") return answer.slice(0, ERROR_MAX);
  throw new Error(`plugin ${name} answered a check with ${typeof answer}; expected a text or null`);
}

/** Whatever was thrown, as an error with one line of bounded length. */
export function errorOf(thrown: unknown): Error {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  // Of a program that failed, the cause is in what follows the first line.
  const line = oneLine(text, ERROR_MAX) || "it gave no reason";
  if (thrown instanceof Error && thrown.message === line) return thrown;
  return new Error(line, { cause: thrown });
}

/** @throws Error unless a value has the functions that every plugin must have */
export function checkOperations(name: string, value: object): PluginOperations {
  const operations = value as Record<string, unknown>;
  for (const required of ["add", "remove"]) {
    if (typeof operations[required] !== "function") {
      throw new Error(`plugin ${name} has no function ${required}`);
    }
  }
  for (const optional of ["adopt", "check"]) {
    const operation = operations[optional];
    if (operation !== undefined && typeof operation !== "function") {
      throw new Error(`plugin ${name} has ${optional}, which is no function`);
    }
  }
  return value as PluginOperations;
}
