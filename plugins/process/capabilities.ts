/** What a process plugin may ask for during a call, by name; the arguments are checked here. */
import type { Device, DeviceModelProgram } from "../../contract/v1/plugin.ts";
import { argv, number, plain, RequestError, text, texts, word } from "./arguments.ts";
import { BLOCK_CAPABILITIES, LINK_CAPABILITIES } from "./machine_capabilities.ts";

/** Locks of one call: held until it gives them back, or ends. */
export class CallLocks {
  readonly #release = new Map<string, () => void>();

  /** Waits for a lock. */
  async take(device: Device, name: string, signal: AbortSignal): Promise<void> {
    if (this.#release.has(name)) {
      throw new RequestError(`lock ${JSON.stringify(name)} is held already`);
    }
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

type Use = (call: CapabilityCall, args: readonly unknown[]) => unknown;

/**
 * Does what a plugin asks for.
 * @throws RequestError when there is no such thing or the arguments are wrong; what the device throws
 */
export async function useCapability(
  call: CapabilityCall,
  name: string,
  args: readonly unknown[],
): Promise<unknown> {
  const use = Object.hasOwn(CAPABILITIES, name) ? CAPABILITIES[name] : undefined;
  if (use === undefined) {
    const shown = JSON.stringify(name.slice(0, 40));
    throw new RequestError(
      `there is no capability ${shown}; there are ${Object.keys(CAPABILITIES).join(", ")}`,
    );
  }
  return await use(call, args) ?? null;
}

const program = (command: unknown, environment: unknown): DeviceModelProgram => ({
  argv: argv(command),
  ...(environment === undefined || environment === null
    ? {}
    : { environment: texts(environment, "variables") }),
});

const whose = (by: unknown) =>
  by === undefined || by === null ? "any" : word(by, ["any", "other guests"] as const);

const nodes = (of: (device: Device) => Device["nodes"], name: string): Record<string, Use> => ({
  [`${name}.read`]: ({ device }, [node]) => of(device).read(text(node, "the node's name")),
  [`${name}.write`]: ({ device }, [values]) => of(device).write(texts(values, "nodes")),
  [`${name}.remove`]: ({ device }, [node]) => of(device).remove(text(node, "the node's name")),
});

function ofDevice(
  uses: Record<string, (device: Device, args: readonly unknown[]) => unknown>,
): Record<string, Use> {
  return Object.fromEntries(
    Object.entries(uses).map(([name, use]) => [name, ({ device }, args) => use(device, args)]),
  );
}

/** All capabilities; docs/plugin-protocol.md has the same list. */
const CAPABILITIES: Record<string, Use> = {
  ...nodes((device) => device.nodes, "nodes"),
  ...nodes((device) => device.hotplug, "hotplug"),
  "config": async ({ device }) => (await device.config()).nodes,
  "scripts.check": ({ device }, [family, script]) =>
    device.scripts.check(word(family, ["block", "network"] as const), text(script, "the script")),
  "scripts.version": ({ device, signal }, [script]) =>
    device.scripts.version(text(script, "the script"), signal),
  "scripts.usesVersion2": ({ device }) => device.scripts.usesVersion2(),
  "scripts.prepare": ({ device, signal }, [script]) =>
    device.scripts.prepare(text(script, "the script"), signal),
  "scripts.run": ({ device, signal }, [family, script, action, copy]) =>
    device.scripts.run(
      word(family, ["block", "network"]),
      text(script, "the script"),
      word(action, ["add", "remove"]),
      signal,
      copy === undefined || copy === null ? undefined : texts(copy, "nodes"),
    ),
  "scripts.addOnCopy": ({ device, signal }, [family, script, nodes]) =>
    device.scripts.addOnCopy(
      word(family, ["block", "network"]),
      text(script, "the script"),
      texts(nodes, "nodes"),
      signal,
    ),
  "system.exists": ({ device }, [path]) => device.system.exists(text(path, "a path")),
  "system.readText": ({ device }, [path]) => device.system.readText(text(path, "a path")),
  "system.list": ({ device }, [path]) => device.system.list(text(path, "a path")),
  "system.identityOf": ({ device }, [path]) => device.system.identityOf(text(path, "a path")),
  "system.realPath": ({ device }, [path]) => device.system.realPath(text(path, "a path")),
  "system.run": ({ device, signal }, [command]) => device.system.run(argv(command), signal),
  "system.lock": ({ device, signal, locks }, [name]) =>
    locks.take(device, text(name, "the lock's name"), signal),
  "system.unlock": ({ locks }, [name]) => locks.give(text(name, "the lock's name")),
  "children.start": ({ device }, [name, command]) =>
    device.children.start(text(name, "the process's name"), argv(command)),
  "children.running": ({ device }, [name]) =>
    device.children.running(text(name, "the process's name")),
  "children.stop": ({ device }, [name]) => device.children.stop(text(name, "the process's name")),
  "deviceModel.start": ({ device, signal }, [argument, environment]) =>
    device.deviceModel.start(program(argument, environment), signal),
  "deviceModel.adopt": ({ device }, [argument, environment]) =>
    device.deviceModel.adopt(program(argument, environment)),
  "deviceModel.status": ({ device }) => device.deviceModel.status(),
  "deviceModel.release": ({ device }) => device.deviceModel.release(),
  "directories.state": ({ device }) => device.directories.state(),
  "directories.temporary": ({ device }) => device.directories.temporary(),
  "recordUndo": ({ device }, [undo]) => device.recordUndo(plain(undo, "an undo record")),
  "frontend.state": ({ device }) => device.frontend.state(),
  "frontend.writeMtu": ({ device }, [bytes]) =>
    device.frontend.writeMtu(number(bytes, "an MTU in bytes")),
  ...ofDevice({ ...BLOCK_CAPABILITIES, ...LINK_CAPABILITIES }),
  "heldElsewhere": ({ device }, [name, value, by]) =>
    device.heldElsewhere(text(name, "a name"), text(value, "a value"), whose(by)),
  "sameMachine": ({ device }, [frontendDomid]) =>
    device.sameMachine(number(frontendDomid, "a domid")),
  "holders": ({ device }, [name, value, by]) =>
    device.holders(text(name, "a name"), text(value, "a value"), whose(by)),
  "heldValues": ({ device }, [name]) => device.heldValues(text(name, "a name")),
};

/** Names of all capabilities. */
export const CAPABILITY_NAMES: readonly string[] = Object.keys(CAPABILITIES);
