/** All devices of a driver domain, a lane each. */
import { backendPath, type DeviceId, deviceName, frontendPath } from "../device/id.ts";
import { DEFAULT_TIMES, type LifecycleTimes } from "../lifecycle/constants.ts";
import type { LifecycleState } from "../lifecycle/machine.ts";
import { Lane, type LaneActions } from "../lifecycle/runner.ts";
import { type Log, openLog } from "../log/log.ts";
import type { BackendPlugin, Undo } from "../../plugins/contract.ts";
import type { PluginRegistry } from "../../plugins/registry.ts";
import { closeBackend, deleteDirectory, publishError } from "./backend_nodes.ts";
import { type ContextParts, deviceContext } from "./device_context.ts";
import { awaitKernelRelease } from "./kernel.ts";
import { observe } from "./observe.ts";

/** What the daemon's devices need. */
export interface DevicesParts extends ContextParts {
  readonly plugins: PluginRegistry;
  readonly times?: LifecycleTimes;
}

/** The devices that are known. */
export class Devices {
  readonly #parts: DevicesParts;
  readonly #lanes = new Map<string, { readonly id: DeviceId; readonly lane: Lane }>();
  readonly #log = openLog();
  readonly #unknownKinds = new Set<string>();
  #stopped = false;

  constructor(parts: DevicesParts) {
    this.#parts = parts;
  }

  /** Identities of the devices that are known. */
  get known(): DeviceId[] {
    return [...this.#lanes.values()].map(({ id }) => id);
  }

  /** Where a device is in its life; undefined when it is not known. */
  stateOf(id: DeviceId): LifecycleState | undefined {
    return this.#lanes.get(backendPath(id))?.lane.state;
  }

  /** Something about a device may have changed. */
  touch(id: DeviceId): void {
    if (this.#stopped) return;
    const key = backendPath(id);
    let entry = this.#lanes.get(key);
    if (entry === undefined) {
      const plugin = this.#parts.plugins.find(id.kind);
      if (plugin === undefined) return this.#reportUnknownKind(id);
      entry = { id, lane: this.#makeLane(id, plugin) };
      this.#lanes.set(key, entry);
    }
    entry.lane.touch();
  }

  /** Everything may have changed. */
  touchAll(): void {
    for (const { lane } of this.#lanes.values()) lane.touch();
  }

  /**
   * Starts nothing new and waits for what runs; what still runs after `graceMs` is told to stop.
   * Devices stay as they are.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#lanes.values()].map(({ lane }) => lane.stop(graceMs)));
  }

  #reportUnknownKind(id: DeviceId): void {
    if (this.#unknownKinds.has(id.kind)) return;
    this.#unknownKinds.add(id.kind);
    this.#log.warning(
      `${deviceName(id)}: no plugin serves kind ${id.kind} ` +
        `(there are ${this.#parts.plugins.kinds.join(", ") || "none"}); its devices are ignored`,
    );
  }

  #makeLane(id: DeviceId, plugin: BackendPlugin): Lane {
    const log = openLog(deviceName(id));
    const rules = {
      times: this.#parts.times ?? DEFAULT_TIMES,
      waitsForBackend: plugin.waitsForBackend ?? true,
    };
    const actions = laneActions(id, plugin, this.#parts, log);
    const lane: Lane = new Lane(actions, rules, this.#parts.clock, () => {
      if (this.#lanes.get(backendPath(id))?.lane === lane) this.#lanes.delete(backendPath(id));
    });
    return lane;
  }
}

function laneActions(
  id: DeviceId,
  plugin: BackendPlugin,
  parts: DevicesParts,
  log: Log,
): LaneActions {
  const { store } = parts;
  const frontendKind = plugin.frontendKind ?? id.kind;
  let undo: Undo = {};
  let lastOddity: string | null = null;
  const context = () =>
    deviceContext(id, parts, log, {
      get: () => undo,
      add: async (more) => {
        undo = { ...undo, ...more };
      },
    });
  return {
    async observe() {
      const { observation, oddity } = await observe(store, id, frontendKind);
      if (oddity !== null && oddity !== lastOddity) log.warning(oddity);
      lastOddity = oddity;
      return observation;
    },
    add: async (signal) => {
      log.info(`attach: ${frontendPath(id, frontendKind)}`);
      await plugin.add(context(), signal);
    },
    remove: async (signal) => {
      await plugin.remove(context(), signal);
      undo = {};
    },
    adopt: async (signal) => await plugin.adopt?.(context(), signal),
    publishError: (error) => publishError(store, id, error),
    closeBackend: () => closeBackend(store, id),
    awaitKernel: (ms) => awaitKernelRelease(parts.files, parts.clock, id, ms),
    deleteDirectory: () => deleteDirectory(store, id, frontendKind),
    report: (level, text) => log[level](text),
  };
}
