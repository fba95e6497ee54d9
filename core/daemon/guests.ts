/**
 * Notices that a guest has died. A driver domain is not told of it, but may watch the guest's
 * frontends: one watch a guest, on any of them, since all vanish together.
 */
import { type DeviceId, frontendPath } from "../device/id.ts";
import { openLog } from "../log/log.ts";
import type { StoreClient, Watch } from "../xenstore/client.ts";

/**
 * Watches that may be spent on guests. A domain has 128 (xenstored/domain.c; 100 with oxenstored),
 * and its kernel's backends need one or two a device out of the same number.
 */
export const GUEST_WATCHES_MAX = 32;

interface Guest {
  readonly id: DeviceId;
  /** null while it is being set, or when there is none. */
  watch: Watch | null;
}

/** One watch for each guest that has devices, as far as the quota goes. */
export class Guests {
  readonly #store: StoreClient;
  readonly #max: number;
  readonly #onChange: (frontendDomid: number) => void;
  readonly #log = openLog();
  readonly #guests = new Map<number, Guest>();
  #complained = false;
  #stopped = false;

  /** @param onChange something about a frontend of this guest has changed; it may be gone */
  constructor(
    store: StoreClient,
    onChange: (frontendDomid: number) => void,
    max = GUEST_WATCHES_MAX,
  ) {
    this.#store = store;
    this.#onChange = onChange;
    this.#max = max;
  }

  /** Guests that are watched. */
  get size(): number {
    return this.#guests.size;
  }

  /**
   * Brings a guest's watch up to date.
   * @param devices what it has now
   * @param kindOf kind of a device's frontend directory
   */
  update(
    domid: number,
    devices: readonly DeviceId[],
    kindOf: (id: DeviceId) => string,
  ): void {
    if (this.#stopped) return;
    const guest = this.#guests.get(domid);
    const [first] = devices;
    const stays = guest !== undefined &&
      devices.some(({ kind, devid }) => kind === guest.id.kind && devid === guest.id.devid);
    if (stays) return;
    if (guest !== undefined) {
      this.#guests.delete(domid);
      guest.watch?.close({ timeoutMs: 10_000 }).catch(() => {});
    }
    if (first === undefined) return;
    if (this.#guests.size >= this.#max) {
      return this.#complain(`more than ${this.#max} guests have devices`);
    }
    const entry: Guest = { id: first, watch: null };
    this.#guests.set(domid, entry);
    this.#arm(domid, entry, frontendPath(first, kindOf(first)));
  }

  /** Ends all watches. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const watches = [...this.#guests.values()].map(({ watch }) => watch);
    this.#guests.clear();
    await Promise.all(watches.map((watch) => watch?.close({ timeoutMs: 1_000 }).catch(() => {})));
  }

  async #arm(domid: number, entry: Guest, path: string): Promise<void> {
    try {
      const watch = await this.#store.watch(path, () => this.#onChange(domid));
      entry.watch = watch;
      if (this.#guests.get(domid) !== entry) await watch.close({ timeoutMs: 10_000 });
    } catch (error) {
      if (this.#guests.get(domid) !== entry) return;
      // The connection was lost over it, and comes back.
      if (this.#store.isRecovering) return await this.#arm(domid, entry, path);
      this.#guests.delete(domid);
      if (!this.#stopped) this.#complain(`the store refuses a watch: ${(error as Error).message}`);
    }
  }

  #complain(why: string): void {
    if (this.#complained) return;
    this.#complained = true;
    this.#log.warning(`${why}; the death of some guests is noticed later`);
  }
}
