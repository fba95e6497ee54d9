/** A guest whose kernel takes up whatever disk or interface it is given. */
import type { StoreClient } from "../core/xenstore/client.ts";
import { domainPath } from "../core/xenstore/paths.ts";
import type { Watch } from "../core/xenstore/watches.ts";
import { parseDecimal } from "../core/xen/device_id.ts";
import { SimulatedFrontend } from "./frontend.ts";

/** Kinds that it has drivers for. */
const KINDS = ["vbd", "vif"] as const;

/** Largest number of a device. */
const DEVID_MAX = 0xffffffff;

export class SimulatedGuest {
  readonly #store: StoreClient;
  readonly #domid: number;
  readonly #frontends = new Map<string, SimulatedFrontend>();
  #watch: Watch | null = null;
  #last: Promise<void> = Promise.resolve();
  #due = false;

  /** @param store a connection that acts as the guest */
  constructor(store: StoreClient, domid: number) {
    this.#store = store;
    this.#domid = domid;
  }

  async start(): Promise<void> {
    this.#watch = await this.#store.watch(`${domainPath(this.#domid)}/device`, () => this.#look());
  }

  async stop(): Promise<void> {
    await this.#watch?.close().catch(() => {});
    await this.#last;
    for (const frontend of this.#frontends.values()) await frontend.stop();
  }

  #look(): void {
    if (this.#due) return;
    this.#due = true;
    this.#last = this.#last.then(async () => {
      this.#due = false;
      for (const kind of KINDS) await this.#lookAt(kind);
    }).catch(() => {
      // What cannot be read now may be there at the next event.
    });
  }

  async #lookAt(kind: string): Promise<void> {
    const directory = `${domainPath(this.#domid)}/device/${kind}`;
    const names = await this.#store.listOptional(directory);
    for (const [path, frontend] of this.#frontends) {
      if (!path.startsWith(`${directory}/`)) continue;
      if (names.some((name) => path === `${directory}/${name}`)) continue;
      this.#frontends.delete(path);
      await frontend.stop();
    }
    for (const name of names) {
      const path = `${directory}/${name}`;
      const devid = parseDecimal(name, DEVID_MAX);
      if (devid === undefined || this.#frontends.has(path)) continue;
      const frontend = new SimulatedFrontend(this.#store, { domid: this.#domid, kind, devid });
      this.#frontends.set(path, frontend);
      await frontend.start().catch(() => this.#frontends.delete(path));
    }
  }
}
