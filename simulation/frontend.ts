/** A guest's drivers, blkfront and netfront, as far as the store shows them. */
import { frontendPath } from "../core/xen/device_id.ts";
import { parseState, XenbusState } from "../core/xen/states.ts";
import type { StoreClient } from "../core/xenstore/client.ts";
import type { Watch } from "../core/xenstore/watches.ts";

/** How a guest differs from a well-behaved one. */
export interface FrontendKnobs {
  /** Does not close when it is asked to. */
  readonly neverCloses?: boolean;
  /** Writes this in place of each state. */
  readonly garbageState?: string;
  /** Value of further nodes that it writes when it connects. */
  readonly extraNodes?: Readonly<Record<string, string>>;
}

/** One device of a guest. */
export class SimulatedFrontend {
  readonly #store: StoreClient;
  readonly #directory: string;
  readonly #knobs: FrontendKnobs;
  #watch: Watch | null = null;
  #backend = "";
  #due = false;
  #working = false;
  #stopped = false;

  /** @param store a connection that acts as the guest */
  constructor(
    store: StoreClient,
    device: { domid: number; kind: string; devid: number },
    knobs: FrontendKnobs = {},
  ) {
    this.#store = store;
    const { domid, kind, devid } = device;
    this.#directory = frontendPath(
      { backendDomid: 0, kind, frontendDomid: domid, devid },
      kind,
    );
    this.#knobs = knobs;
  }

  /** Finds its backend and follows it. @throws Error when there is no such device */
  async start(): Promise<void> {
    this.#backend = await this.#store.readText(`${this.#directory}/backend`);
    this.#watch = await this.#store.watch(`${this.#backend}/state`, () => this.#look());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#watch?.close().catch(() => {});
  }

  /** Waits until the guest can use its device. @throws DeadlineError */
  async connected(timeoutMs: number): Promise<void> {
    await this.#store.waitUntil(
      `${this.#directory}/state`,
      (state) => state === String(XenbusState.Connected),
      { timeoutMs },
    );
  }

  /** Closes of its own accord, as a driver that is unloaded. */
  close(): Promise<void> {
    return this.#switch(XenbusState.Closed);
  }

  /** Comes back after a close, as a driver that is loaded again. */
  reconnect(): Promise<void> {
    return this.#switch(XenbusState.Initialising);
  }

  #look(): void {
    this.#due = true;
    if (this.#working || this.#stopped) return;
    this.#working = true;
    this.#work();
  }

  async #work(): Promise<void> {
    while (this.#due && !this.#stopped) {
      this.#due = false;
      try {
        await this.#step();
      } catch {
        // Its directory, or the store itself, is gone: so is the device.
      }
    }
    this.#working = false;
  }

  async #step(): Promise<void> {
    const [backendText, ownText] = await Promise.all([
      this.#store.readOptional(`${this.#backend}/state`),
      this.#store.readOptional(`${this.#directory}/state`),
    ]);
    const own = parseState(ownText ?? "");
    switch (parseState(backendText ?? "")) {
      case XenbusState.InitWait:
      case XenbusState.Initialised:
        if (own === XenbusState.Initialising) {
          await this.#publishRing();
          await this.#switch(XenbusState.Initialised);
        }
        return;
      case XenbusState.Connected:
        if (own === XenbusState.Initialising) await this.#publishRing();
        if (own !== XenbusState.Connected && own !== XenbusState.Closed) {
          await this.#switch(XenbusState.Connected);
        }
        return;
      case XenbusState.Closing:
      case XenbusState.Closed:
        if (!this.#knobs.neverCloses && own !== XenbusState.Closed && own !== undefined) {
          await this.#switch(XenbusState.Closed);
        }
        return;
    }
  }

  async #publishRing(): Promise<void> {
    const nodes = {
      "ring-ref": "8",
      "event-channel": "11",
      protocol: "x86_64-abi",
      ...this.#knobs.extraNodes,
    };
    await this.#store.transaction(async (t) => {
      if (!await t.exists(this.#directory)) return;
      for (const [name, value] of Object.entries(nodes)) {
        await t.write(`${this.#directory}/${name}`, value);
      }
    });
  }

  async #switch(state: XenbusState): Promise<void> {
    await this.#store.transaction(async (t) => {
      if (!await t.exists(this.#directory)) return;
      await t.write(`${this.#directory}/state`, this.#knobs.garbageState ?? String(state));
    });
  }
}
