/** What a process plugin may ask for during a call, by name. */
import { own } from "../../contract/v1/own.ts";
import { RequestError } from "../../contract/v1/arguments.ts";
import {
  CAPABILITIES,
  type Capabilities,
  carries,
  type ProgramFunctions,
} from "../../contract/v1/capabilities.ts";
import type { Device } from "../../contract/v1/plugin.ts";
import { functionOf } from "../../core/daemon/plugin/guard.ts";

/** Locks of one call: held until it gives them back, or ends. */
export class CallLocks {
  readonly #release = new Map<string, () => void>();

  /** Waits for a lock. */
  async take(device: Device, name: string, signal: AbortSignal): Promise<void> {
    if (this.#release.has(name)) {
      throw new RequestError(`lock ${JSON.stringify(name)} is held already`);
    }
    const most = CAPABILITIES["system.lock"].limits.count;
    if (this.#release.size >= most) throw new RequestError(`expected at most ${most} locks`);
    const got = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    this.#release.set(name, done.resolve);
    device.system.exclusively(name, signal, () => {
      got.resolve();
      return done.promise;
    }).catch((error) => {
      this.#release.delete(name);
      got.reject(error);
    });
    await got.promise;
  }

  /** Gives one back; one that is not held is no error. */
  give(name: string): void {
    this.#release.get(name)?.();
    this.#release.delete(name);
  }

  /** Gives all back. */
  giveAll(): void {
    for (const name of [...this.#release.keys()]) this.give(name);
  }
}

/** A call as capabilities see it. */
export interface CapabilityCall {
  readonly device: Device;
  readonly signal: AbortSignal;
  readonly locks: CallLocks;
}

/** What a device does not have, since a program cannot send functions. */
const PROGRAMS_OWN: {
  readonly [Name in keyof ProgramFunctions]: (
    call: CapabilityCall,
    ...args: Parameters<ProgramFunctions[Name]>
  ) => ReturnType<ProgramFunctions[Name]>;
} = {
  "system.lock": ({ device, locks }, name, signal) => locks.take(device, name, signal),
  "system.unlock": ({ locks }, name) => locks.give(name),
};

/**
 * Does what a plugin asks for.
 * @throws RequestError when there is no such thing or the arguments are wrong; what the device throws
 */
export async function useCapability(
  call: CapabilityCall,
  name: string,
  values: readonly unknown[],
  table: Capabilities = CAPABILITIES,
): Promise<unknown> {
  const { device, signal } = call;
  const row = own(table, name);
  if (row === undefined || !carries(row, "process")) {
    const shown = JSON.stringify(name.slice(0, 40));
    const names = Object.entries(table).filter(([, row]) => carries(row, "process"));
    throw new RequestError(
      `there is no capability ${shown}; there are ${names.map(([name]) => name).join(", ")}`,
    );
  }
  let at = 0;
  const args = row.args.map((argument) =>
    argument.takes === 0 ? signal : argument.read(...values.slice(at, at += argument.takes))
  );
  const value =
    await (isProgramsOwn(name)
      ? (PROGRAMS_OWN[name] as (...args: unknown[]) => unknown)(call, ...args)
      : functionOf(device, name)(...args));
  return (row.plain === undefined ? value : row.plain(value)) ?? null;
}

function isProgramsOwn(name: string): name is keyof ProgramFunctions {
  return Object.hasOwn(PROGRAMS_OWN, name);
}
