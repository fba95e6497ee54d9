/**
 * The backend drivers of a driver domain's kernel, as far as the store shows them: Linux's xenbus
 * core, blkback and netback (drivers/xen/xenbus, drivers/block/xen-blkback, drivers/net/xen-netback).
 */
import {
  backendPath,
  backendRoot,
  type DeviceId,
  frontendPath,
  placeOf,
} from "../core/xen/device_id.ts";
import { parseState, XenbusState } from "../core/xen/states.ts";
import type { Clock } from "../platform/types.ts";
import type { StoreClient } from "../core/xenstore/client.ts";
import type { Watch } from "../core/xenstore/watches.ts";
import { isServerError } from "../core/xenstore/errors.ts";

/** How the simulated kernel differs from a well-behaved one. */
export interface KernelKnobs {
  /** Pause before each change of state, in ms. */
  readonly delayMs?: number;
  /** Never reaches InitWait: its module is missing, say. */
  readonly neverReady?: boolean;
  /** Goes past InitWait at once, to Initialised. */
  readonly skipInitWait?: boolean;
  /** Stays in Closing, never to reach Closed. */
  readonly neverCloses?: boolean;
  /** Writes this in place of each state. */
  readonly garbageState?: string;
  /** Takes `physical-device-path`, as FreeBSD's blkback does; it may then be a plain file. */
  readonly pathInPlaceOfNumber?: boolean;
  /** Takes that if there is no `physical-device`. */
  readonly pathOrNumber?: boolean;
  /** Kinds it serves besides `vbd` and `vif`: it connects them when their frontends are ready. */
  readonly otherKinds?: readonly string[];
  /** Kinds of their frontends, where they differ. */
  readonly frontendKinds?: Readonly<Record<string, string>>;
}

/** What a watcher of the kernel is told. */
export interface KernelEvents {
  /** A backend has opened what it is to serve: `7:0`, or a path. */
  opened?(id: DeviceId, device: string): void;
  /** Before it becomes ready for its frontend. */
  registered?(id: DeviceId): void | Promise<void>;
  unregistered?(id: DeviceId): void | Promise<void>;
}

interface Backend {
  readonly id: DeviceId;
  readonly frontend: Watch;
  opened: string | null;
  /** The driver's own idea of its state: it writes the node, and never looks at it again. */
  state: XenbusState;
}

/** Serves the kinds `vbd` and `vif`, and others if asked to, of one driver domain. */
export class SimulatedKernel {
  readonly #store: StoreClient;
  readonly #domid: number;
  readonly #clock: Clock;
  readonly #knobs: KernelKnobs;
  readonly #events: KernelEvents;
  readonly #backends = new Map<string, Backend>();
  #watch: Watch | null = null;
  /** Devices to look at again, one after the other. */
  readonly #due = new Map<string, DeviceId>();
  #working = false;
  #stopped = false;

  /** @param store a connection that acts as the driver domain */
  constructor(
    store: StoreClient,
    domid: number,
    clock: Clock,
    knobs: KernelKnobs = {},
    events: KernelEvents = {},
  ) {
    this.#store = store;
    this.#domid = domid;
    this.#clock = clock;
    this.#knobs = knobs;
    this.#events = events;
  }

  async start(): Promise<void> {
    this.#watch = await this.#store.watch(backendRoot(this.#domid), (path) => {
      const place = placeOf(path, this.#domid);
      if (place.at === "device") this.#look(place.id);
      else for (const { id } of this.#backends.values()) this.#look(id);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#watch?.close().catch(() => {});
    for (const { frontend } of this.#backends.values()) await frontend.close().catch(() => {});
  }

  /** What a backend has opened, or null. */
  opened(id: DeviceId): string | null {
    return this.#backends.get(backendPath(id))?.opened ?? null;
  }

  #look(id: DeviceId): void {
    if (!["vbd", "vif", ...this.#knobs.otherKinds ?? []].includes(id.kind)) return;
    this.#due.set(backendPath(id), id);
    if (this.#working || this.#stopped) return;
    this.#working = true;
    this.#work();
  }

  async #work(): Promise<void> {
    for (const [path, id] of this.#due) {
      this.#due.delete(path);
      if (this.#stopped) break;
      try {
        await this.#step(path, id);
      } catch {
        // As the kernel: what cannot be read now may make sense at the next event.
      }
    }
    this.#working = false;
  }

  async #step(path: string, id: DeviceId): Promise<void> {
    const backend = this.#backends.get(path);
    if (backend === undefined) return await this.#probe(path, id);
    const [online, present, frontend] = await Promise.all([
      this.#store.readOptional(`${path}/online`),
      this.#store.exists(path),
      this.#frontendState(id),
    ]);
    if (!present) return await this.#unregister(backend);
    switch (frontend) {
      case XenbusState.Initialising:
        if (backend.state === XenbusState.Closed) {
          await this.#switch(backend, XenbusState.InitWait);
        }
        return;
      case XenbusState.Initialised:
      case XenbusState.Connected:
        return await this.#connect(path, backend);
      case XenbusState.Closing:
        return await this.#switch(backend, XenbusState.Closing);
      case XenbusState.Closed:
        await this.#close(backend);
        if (online === "0") await this.#unregister(backend);
        return;
      case undefined:
      case XenbusState.Unknown:
        await this.#close(backend);
        return await this.#unregister(backend);
    }
  }

  /** A directory becomes a device only if it names its frontend, and that exists. */
  async #probe(path: string, id: DeviceId): Promise<void> {
    const [frontendId, frontend, state, script, handle] = await Promise.all(
      ["frontend-id", "frontend", "state", "script", "handle"].map((name) =>
        this.#store.readOptional(`${path}/${name}`)
      ),
    );
    if (!/^\d+$/.test(frontendId ?? "") || !frontend) return;
    if (await this.#frontendState(id) === undefined) return;
    if (state !== String(XenbusState.Initialising)) return;
    if (id.kind === "vif" && (!script || handle === undefined)) return;
    const watch = await this.#store.watch(
      `${this.#frontendPath(id)}/state`,
      () => this.#look(id),
    );
    const backend = { id, frontend: watch, opened: null, state: XenbusState.Initialising };
    this.#backends.set(path, backend);
    await this.#events.registered?.(id);
    if (this.#knobs.neverReady) return;
    const first = this.#knobs.skipInitWait ? XenbusState.Initialised : XenbusState.InitWait;
    await this.#switch(backend, first);
  }

  async #connect(path: string, backend: Backend): Promise<void> {
    if (backend.state === XenbusState.Connected) return;
    if (backend.id.kind === "vif") {
      const status = await this.#store.readOptional(`${path}/hotplug-status`);
      if (status === "connected") await this.#switch(backend, XenbusState.Connected);
      return;
    }
    if (backend.id.kind !== "vbd") return await this.#switch(backend, XenbusState.Connected);
    backend.opened ??= await this.#open(path);
    if (backend.opened === null) return;
    this.#events.opened?.(backend.id, backend.opened);
    await this.#switch(backend, XenbusState.Connected);
  }

  /** What blkback opens; it cannot be changed later. */
  async #open(path: string): Promise<string | null> {
    if (await this.#store.readOptional(`${path}/mode`) === undefined) return null;
    const name = this.#knobs.pathInPlaceOfNumber ? "physical-device-path" : "physical-device";
    const value = await this.#store.readOptional(`${path}/${name}`);
    if (!value && this.#knobs.pathOrNumber) {
      return await this.#store.readOptional(`${path}/physical-device-path`) || null;
    }
    if (!value) return null;
    return this.#knobs.pathInPlaceOfNumber || /^[0-9a-f]+:[0-9a-f]+$/.test(value) ? value : null;
  }

  async #close(backend: Backend): Promise<void> {
    if (backend.state === XenbusState.Closed) return;
    await this.#switch(backend, XenbusState.Closing);
    if (!this.#knobs.neverCloses) await this.#switch(backend, XenbusState.Closed);
  }

  async #unregister(backend: Backend): Promise<void> {
    const path = backendPath(backend.id);
    this.#backends.delete(path);
    await backend.frontend.close().catch(() => {});
    if (backend.id.kind === "vif") {
      await this.#store.transaction(async (t) => {
        if (await t.exists(`${path}/hotplug-status`)) await t.remove(`${path}/hotplug-status`);
      }).catch(() => {});
    }
    await this.#events.unregistered?.(backend.id);
  }

  #frontendPath(id: DeviceId): string {
    return frontendPath(id, this.#knobs.frontendKinds?.[id.kind] ?? id.kind);
  }

  /** The guest's state; undefined when its directory is gone or hidden from us. */
  async #frontendState(id: DeviceId): Promise<XenbusState | undefined> {
    try {
      const text = await this.#store.readOptional(`${this.#frontendPath(id)}/state`);
      return text === undefined ? undefined : parseState(text) ?? XenbusState.Unknown;
    } catch (error) {
      if (isServerError(error, "EACCES")) return undefined;
      throw error;
    }
  }

  /** Changes a backend's state and writes it, unless the directory is gone. */
  async #switch(backend: Backend, state: XenbusState): Promise<void> {
    if (backend.state === state) return;
    backend.state = state;
    const { delayMs = 0, garbageState } = this.#knobs;
    if (delayMs > 0) await new Promise<void>((resolve) => this.#clock.after(delayMs, resolve));
    const path = `${backendPath(backend.id)}/state`;
    await this.#store.transaction(async (t) => {
      if (await t.readOptional(path) === undefined) return;
      await t.write(path, garbageState ?? String(state));
    });
  }
}
