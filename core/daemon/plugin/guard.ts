/**
 * What holds for every plugin, whatever carries it: it uses a device by capabilities, which somebody
 * may stand before; a call ends when its time is up, whether the plugin obeys or not, and a plugin whose
 * call has ended can do nothing more with its device.
 */
export { busyOf } from "./busy.ts";
import { SIGNAL } from "../../../contract/v1/arguments.ts";
import { own } from "../../../contract/v1/own.ts";
import {
  CAPABILITIES,
  type Capabilities,
  type Capability,
  carries,
  PLACES,
} from "../../../contract/v1/capabilities.ts";
import type { Device, Findings, PluginOperations } from "../../../contract/v1/plugin.ts";
import { oneLine } from "../../log/log.ts";
import type { Cancel, Clock } from "../../../platform/types.ts";

/**
 * Called before each use of a capability, with its name as in docs/plugin-protocol.md
 * (`nodes.write`, say). What it throws, the plugin gets; what it awaits, the plugin waits for.
 */
export type Before = (capability: string, args: readonly unknown[]) => Promise<void> | void;

type Group = Record<string, unknown>;
type Use = (...args: unknown[]) => unknown;

/** A capability, with where in a device it is. */
interface Place {
  readonly name: string;
  readonly row: Capability;
  readonly groups: readonly string[];
  readonly last: string;
}

/**
 * A device that asks `before` first. What takes no time (`log`, `undo`, …) is passed on as it is.
 * @param over ends all that is under way; the plugin's own signals do so as well
 */
export function intercept(
  device: Device,
  before: Before,
  table: Capabilities = CAPABILITIES,
  over?: AbortSignal,
): Device {
  const { id, settings, log, copy } = device;
  const seen = {
    id,
    settings,
    log,
    copy,
    timeLeft: () => device.timeLeft(),
    get undo() {
      return device.undo;
    },
  };
  for (const { name, row, groups, last } of placesIn(table)) {
    let [real, ours] = [device as unknown as Group, seen as Group];
    for (const word of groups) {
      real = real[word] as Group;
      ours = (ours[word] ??= {}) as Group;
    }
    ours[last] = through(
      name,
      row,
      (...args) => (real[last] as Use).apply(real, args),
      before,
      over,
    );
  }
  return seen as unknown as Device;
}

/** What modules may have of a table, with where it is: made once, since there are many calls. */
function placesIn(table: Capabilities): readonly Place[] {
  const known = PLACES_IN.get(table);
  if (known !== undefined) return known;
  const places = Object.entries(table).filter(([, row]) => carries(row, "module"))
    .map(([name, row]) => ({ name, row, ...placeOf(name) }));
  PLACES_IN.set(table, places);
  return places;
}

const PLACES_IN = new WeakMap<Capabilities, readonly Place[]>();

function through(
  name: string,
  row: Capability,
  real: Use,
  before: Before,
  over: AbortSignal | undefined,
): Use {
  const use = (args: unknown[]) =>
    real(...row.args.map((argument, at) => {
      const value = argument.check(args[at]);
      return argument === SIGNAL && over !== undefined
        ? AbortSignal.any([value as AbortSignal, over])
        : value;
    }));
  if (row.atOnce) return (...args) => use(args);
  const work = async (args: unknown[]) => {
    await before(name, args);
    return await use(args);
  };
  return (...args) => {
    const result = work(args);
    // Of what a plugin does not wait for, nobody takes the end; what it begins later is a mistake
    // that shows.
    if (over?.aborted === false) result.catch(() => {});
    return result;
  };
}

/** What a device can do, by name. */
export function functionOf(device: Device, name: string): Use {
  const { groups, last } = placeOf(name);
  const group = groups.reduce((group, word) => group[word] as Group, device as unknown as Group);
  return (...args) => (group[last] as Use).apply(group, args);
}

function placeOf(name: string): Pick<Place, "groups" | "last"> {
  const words = name.split(".");
  const last = words.pop()!;
  return { groups: words.flatMap((word) => own(PLACES, word) ?? [word]), last };
}

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
type DeviceMaker = (timeLeft: () => number) => Device;

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
  /** What the plugin did not wait for (a program, a script, a lock) does not go on without it. */
  const over = new AbortController();
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
  const device = intercept(
    makeDevice(timeLeft),
    (capability) => {
      if (ended) throw new Error(`${capability}: the call has ended`);
      onUse?.(capability);
    },
    CAPABILITIES,
    over.signal,
  );
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
    over.abort(new Error("the call has ended"));
  }
}

/** Most lines of a sort that are taken from a check. */
const LINES_MAX = 16;

/** What a check answered, with all its lines cut. @throws Error when it is nothing that a check may answer */
export function checkAnswer(name: string, answer: unknown): Findings {
  if (answer === null || answer === undefined) return {};
  if (typeof answer === "string") return { broken: oneLine(answer, ERROR_MAX) };
  const refuse = (what: string): never => {
    throw new Error(
      `plugin ${name} answered a check with ${what}; expected a text, null, or an object with broken, ` +
        "undone, refused (texts), notices, mended (lists of texts)",
    );
  };
  if (typeof answer !== "object" || Array.isArray(answer)) return refuse(typeof answer);
  const findings: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(answer)) {
    if (value === null || value === undefined) continue;
    const cut = (text: unknown) =>
      typeof text === "string"
        ? oneLine(text, ERROR_MAX)
        : refuse(`${field} that is ${typeof text}`);
    if (["broken", "undone", "refused"].includes(field)) findings[field] = cut(value);
    else if (field === "notices" || field === "mended") {
      if (!Array.isArray(value)) return refuse(`${field} that is no list`);
      findings[field] = value.slice(0, LINES_MAX).map(cut);
    } else return refuse(`${JSON.stringify(field.slice(0, 40))}`);
  }
  return findings as Findings;
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
