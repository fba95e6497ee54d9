/** Calls one device's plugin: in its turn, with a time limit, and with the device as it may see it. */
import type { Device, PluginOperations } from "../../../contract/v1/plugin.ts";
import type { Phase } from "../../lifecycle/state.ts";
import type { Log } from "../../log/log.ts";
import { type DeviceId, deviceName } from "../../xen/device_id.ts";
import type { Activity } from "../activity.ts";
import type { DeviceFlight } from "../flight/device_flight.ts";
import type { ChildKeeper } from "../capabilities/children.ts";
import { type ContextParts, deviceContext } from "../capabilities/device.ts";
import type { DeviceModels } from "../capabilities/device_models.ts";
import type { DirectoryKeeper } from "../capabilities/directories.ts";
import type { Held } from "../journal/held.ts";
import type { DeviceServers } from "../servers/device_servers.ts";
import { SERVER_PROCESS } from "../servers/protocol.ts";
import type { ServedContext } from "../servers/served_device.ts";
import { coded } from "../../messages/table.ts";
import type { JournalStore } from "../journal/memory.ts";
import { type CallLimits, guardedCall } from "../plugin/guard.ts";
import type { PluginHost } from "../plugin/host.ts";
import type { Slots } from "../slots.ts";
import { both } from "./both.ts";
import type { DeviceRecord } from "./device_record.ts";
import { Holders } from "./holders.ts";
import type { AddReads } from "./prefetch.ts";

/** How much of a process's command line is kept, in characters: for people. */
const COMMAND_MAX = 100;

/** What calls are made of. */
export interface CallParts extends ContextParts {
  readonly journal: JournalStore;
  readonly slots: Slots;
  readonly children: ChildKeeper;
  readonly deviceModels: DeviceModels;
  readonly servers: DeviceServers;
  readonly directories: DirectoryKeeper;
  /** What a plugin keeps beyond the life of devices. @param holder the device that uses it */
  kept(plugin: string, holder: string): Device["kept"];
  readonly calls: CallLimits;
}

/** Whose plugin is called. */
export interface Called {
  readonly id: DeviceId;
  readonly plugin: PluginHost;
  readonly frontendKind: string;
  readonly record: DeviceRecord;
  readonly activity: Activity;
  readonly log: Log;
  readonly flight: DeviceFlight;
  /** To be called when the device should be checked at once. */
  onTrouble(): void;
  /** To be called when the guest may have changed its side. */
  onFrontend(): void;
  /** To be called after a write to the backend's directory. */
  onWrite(): void;
  /** Where another device is in its life, if it is known. */
  phaseOf(id: DeviceId): Phase | undefined;
}

/** What a call does with the plugin. */
export type Use<T> = (
  plugin: PluginOperations,
  device: Device,
  signal: AbortSignal,
) => Promise<T>;

/** The calls of one device, and what the daemon keeps for it beside them. */
export class PluginCaller {
  readonly #called: Called;
  readonly #parts: CallParts;
  readonly #holders: Holders;

  constructor(called: Called, parts: CallParts) {
    this.#called = called;
    this.#parts = parts;
    this.#holders = new Holders(called.id, parts.journal, (other) => called.phaseOf(other));
  }

  /** Calls the plugin, which is loaded if need be. @param reads of an add */
  async call<T>(signal: AbortSignal, use: Use<T>, reads?: AddReads): Promise<T> {
    const { clock, calls: limits } = this.#parts;
    const { id, plugin } = this.#called;
    const directories = this.#parts.directories.open(id);
    const called = guardedCall(
      plugin.manifest.name,
      (timeLeft) => this.#device(timeLeft, directories, reads),
      async (device, signal) => await use(await plugin.operations(), device, signal),
      signal,
      { clock, limits, onUse: (capability) => reads?.used(capability) },
    );
    return await both(called, () => directories.end());
  }

  /** Does what takes one of the slots. */
  async inSlot(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const { activity, id } = this.#called;
    const admitted = activity.begin("its turn: as many operations run as may");
    const release = await this.#parts.slots.acquire(id.frontendDomid, signal).finally(admitted);
    try {
      await work();
    } finally {
      release();
    }
  }

  /**
   * Undoes the device: what its plugin did, and what the daemon holds for it. Of these, each is tried
   * whatever becomes of the others.
   */
  async remove(signal: AbortSignal): Promise<void> {
    const { children, directories, hotplug } = this.#parts;
    const { id, record } = this.#called;
    // What its plugin undoes, it may still use until then.
    const called = both(
      this.#endServer(),
      () => this.call(signal, (plugin, device, signal) => plugin.remove(device, signal)),
    );
    await both(called, async () => {
      const stopped = record.childNames.length > 0
        ? children.stopAll(record.mark)
        : Promise.resolve();
      await both(stopped, async () => {
        if (record.held.deviceModel !== null) await this.#deviceModel.release();
      });
    });
    await directories.remove(id);
    if (record.held.hotplugDirectory) await hotplug.remove(id);
  }

  /** How one of the processes that serve it has ended; null while all run. */
  async endedChild(): Promise<string | null> {
    const { record, plugin } = this.#called;
    for (const name of record.childNames) {
      // Another one goes on, or it has failed.
      if (name === SERVER_PROCESS && plugin.manifest.server?.resumes) continue;
      const end = await this.#parts.children.endOf(record.mark, name);
      if (end !== null) return end;
    }
    const failure = this.#parts.servers.failureOf(this.#called.id);
    return failure === null ? null : coded("server-failed", failure);
  }

  /** Takes up the server that an earlier daemon has left. */
  async adoptServer(): Promise<void> {
    const context = this.#served();
    if (context !== null) await this.#parts.servers.adopt(context);
  }

  /** @throws Error when its process does not end */
  async #endServer(): Promise<void> {
    const { servers } = this.#parts;
    await servers.end(this.#called.id);
    if (!this.#called.record.childNames.includes(SERVER_PROCESS)) return;
    await this.#children().stop(SERVER_PROCESS);
  }

  /** Of a plugin with a server: what that is made of. @param reads of an add */
  #served(reads?: AddReads): ServedContext | null {
    const { id, plugin, record, log, frontendKind, ...called } = this.#called;
    const { manifest, origin, settings } = plugin;
    if (manifest.server === undefined) return null;
    return {
      ...{ id, frontendKind, settings, log, manifest: manifest.server },
      code: { origin, manifest },
      attachId: () => record.attachId,
      children: this.#children(reads),
      directories: this.#parts.directories.open(id),
      onFrontend: () => called.onFrontend(),
      onTrouble: () => called.onTrouble(),
      onWrite: () => called.onWrite(),
    };
  }

  /** Its processes. @param reads of an add */
  #children(reads?: AddReads): Device["children"] {
    const { record, log } = this.#called;
    return this.#parts.children.of({
      mark: record.mark,
      path: this.#parts.scripts.path,
      log,
      hold: (name, argv) => {
        const words = argv.slice(0, COMMAND_MAX);
        record.hold({ processes: { ...record.held.processes, [name]: words } }, reads?.seen);
      },
      onExit: () => this.#called.onTrouble(),
    });
  }

  /** The guest's QEMU, as this device sees it. */
  get #deviceModel(): Device["deviceModel"] {
    const { journal, deviceModels, scripts } = this.#parts;
    const { id, record } = this.#called;
    return deviceModels.of({
      id,
      path: scripts.path,
      environment: scripts.environment,
      held: () => record.held.deviceModel,
      hold: (deviceModel) => record.hold({ deviceModel }),
      devices: () => journal.entries(),
      onTrouble: () => this.#called.onTrouble(),
    });
  }

  #server(reads: AddReads | undefined): Device["server"] {
    const context = this.#served(reads);
    if (context !== null) return this.#parts.servers.of(context);
    const why = new Error(
      `plugin ${this.#called.plugin.manifest.name} has no server in its manifest`,
    );
    return { start: () => Promise.reject(why) };
  }

  #device(
    timeLeft: () => number,
    directories: Device["directories"],
    reads: AddReads | undefined,
  ): Device {
    const { id, plugin, record, log, activity, frontendKind, flight } = this.#called;
    const hold = (more: Partial<Held>) => record.hold(more, reads?.seen);
    return deviceContext(id, this.#parts, log, {
      get: () => record.undo,
      add: (more) => record.addUndo(more, reads?.seen),
      held: () => record.held,
      hold,
      heldElsewhere: (name, value, by) => this.#holders.any(name, value, by),
      holders: (name, value, by) => this.#holders.of(name, value, by),
      heldValues: (name) => this.#holders.values(name),
    }, {
      attachId: record.attachId,
      activity,
      environment: record.environment,
      wrote: (nodes, ms) => flight.wrote("plugin", nodes, ms),
      ...(reads === undefined ? {} : { first: reads }),
      copy: record.nodes,
      timeLeft,
      frontendKind,
      lockOwner: plugin.origin === "built-in" ? "" : plugin.manifest.name,
      settings: plugin.settings,
      directories,
      kept: this.#parts.kept(plugin.manifest.name, deviceName(id)),
      deviceModel: this.#deviceModel,
      children: this.#children(reads),
      server: this.#server(reads),
    });
  }
}
