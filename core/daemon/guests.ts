/**
 * Notices that a guest has died. A driver domain is not told of it, but may watch the guest's
 * frontends: one watch a guest, on any of them, since all vanish together.
 */
import { coded } from "../messages/table.ts";
import { type DeviceId, frontendPath } from "../xen/device_id.ts";
import type { Cancel, Clock } from "../../platform/types.ts";
import { openLog } from "../log/log.ts";
import type { StoreClient } from "../xenstore/client.ts";
import type { Watch } from "../xenstore/watches.ts";

/**
 * Watches that may be spent on guests. A domain has 128 (xenstored/domain.c; 100 with oxenstored),
 * and its kernel's backends need one or two a device out of the same number.
 */
export const GUEST_WATCHES_MAX = 32;

/**
 * When a new guest is watched, in ms: its frontend writes some ten nodes while its first device is
 * set up, and none afterwards. A guest that dies in that time is noticed by the watch's first event.
 */
export const WATCHED_AFTER_MS = 1_000;

interface Guest {
  readonly id: DeviceId;
  /** Keeps the watch from being set. */
  cancel: Cancel;
  /** null before it is set, or when there is none. */
  watch: Watch | null;
}

/**
 * Told of a change at or below the frontend of one of a guest's devices.
 * @param path of the node that has changed; that frontend's when all may be gone
 */
export type GuestHandler = (watched: DeviceId, path: string) => void;

/** One watch for each guest that has devices, as far as the quota goes. */
export class Guests {
  readonly #store: StoreClient;
  readonly #max: number;
  readonly #clock: Clock;
  readonly #onChange: GuestHandler;
  readonly #log = openLog();
  readonly #guests = new Map<number, Guest>();
  #complained = false;
  #stopped = false;

  constructor(
    store: StoreClient,
    clock: Clock,
    onChange: GuestHandler,
    max = GUEST_WATCHES_MAX,
  ) {
    this.#store = store;
    this.#clock = clock;
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
      guest.cancel();
      guest.watch?.close({ timeoutMs: 10_000 }).catch(() => {});
    }
    if (first === undefined) return;
    if (this.#guests.size >= this.#max) {
      return this.#complain(`more than ${this.#max} guests have devices`);
    }
    const path = frontendPath(first, kindOf(first));
    const entry: Guest = { id: first, cancel: () => {}, watch: null };
    this.#guests.set(domid, entry);
    const arm = () => void this.#arm(domid, entry, path);
    if (guest?.watch) arm();
    else entry.cancel = this.#clock.after(WATCHED_AFTER_MS, arm);
  }

  /** Ends all watches. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const watches = [...this.#guests.values()].map(({ watch, cancel }) => {
      cancel();
      return watch;
    });
    this.#guests.clear();
    await Promise.all(watches.map((watch) => watch?.close({ timeoutMs: 1_000 }).catch(() => {})));
  }

  async #arm(domid: number, entry: Guest, path: string): Promise<void> {
    try {
      const watch = await this.#store.watch(path, (changed) => this.#onChange(entry.id, changed));
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
    this.#log.warning(coded("watch-refused", `${why}; the death of some guests is noticed later`));
  }
}
