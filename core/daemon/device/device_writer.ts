/** What the daemon writes into one device's directory; each write makes the next look read all anew. */
import type { DeviceId } from "../../xen/device_id.ts";
import type { ErrorPublication } from "../lane_actions.ts";
import type { Clock } from "../../../platform/types.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { isServerError } from "../../xenstore/errors.ts";
import { publishDisconnected } from "../../requests/driver/steps.ts";
import {
  cleanse,
  closeBackend,
  deleteDirectory,
  publishError,
  publishSuccess,
  requestClose,
  signalClosing,
} from "./store_writer.ts";

/** Whose directory it is. */
export interface Written {
  readonly id: DeviceId;
  readonly frontendKind: string;
  /** Names of the nodes that its setup writes. */
  readonly results: readonly string[];
  /** The attach id that the directory must have; null if it never had one. */
  attachId(): string | null;
}

/** What a store refuses that may do the same a moment later; none of it is a matter of rights or quotas. */
const PASSING = ["EIO", "EAGAIN", "EBUSY", "ENOMEM"] as const;

/** Pauses before what was refused so is written again, in ms. */
const PAUSES_MS = [100, 1_000, 4_000] as const;

/** Writes. What the directory of another attach would get is not written. */
export class DeviceWriter {
  readonly #store: StoreClient;
  readonly #of: Written;
  readonly #clock: Clock;
  readonly #changed: () => void;

  /** @param changed called when something may have been written */
  constructor(store: StoreClient, of: Written, clock: Clock, changed: () => void) {
    this.#store = store;
    this.#clock = clock;
    this.#of = of;
    this.#changed = changed;
  }

  /** The next look sees what is written by `work`, even if its events are still on the way. */
  async writes<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } finally {
      this.#changed();
    }
  }

  async signalClosing(): Promise<void> {
    await this.#write(() => signalClosing(this.#store, this.#of.id, this.#of.attachId()));
  }

  /** @param kept the attach id that stays; null: it is removed, too */
  async cleanse(kept: string | null): Promise<void> {
    await this.#write(() => cleanse(this.#store, this.#of.id, this.#of.results, kept));
  }

  async requestClose(): Promise<void> {
    await this.#write(() => requestClose(this.#store, this.#of.id, this.#of.attachId()));
  }

  async publishError(error: string, how: ErrorPublication): Promise<void> {
    const { id } = this.#of;
    const attachId = how.another ? null : this.#of.attachId();
    await this.#write(() => publishError(this.#store, id, error, attachId, how));
  }

  /** @returns what `hotplug-status` said instead; null when there is nothing to be said */
  async publishSuccess(attachId: string | null): ReturnType<typeof publishSuccess> {
    return await this.#write(() => publishSuccess(this.#store, this.#of.id, attachId));
  }

  /** @param wanted whether it was when it was seen last */
  async closeBackend(wanted: boolean): Promise<void> {
    await this.#write(() => closeBackend(this.#store, this.#of.id, this.#of.attachId(), wanted));
  }

  /** @param attachId that it must have; null: any. @returns null, or why it was not deleted */
  async deleteDirectory(attachId: string | null): Promise<string | null> {
    const { id, frontendKind } = this.#of;
    await this.#write(() => publishDisconnected(this.#store, id));
    return await this.#write(() => deleteDirectory(this.#store, id, frontendKind, attachId));
  }

  /** Whoever waits for this would learn of its failure only when his time is up. */
  async #write<T>(work: () => Promise<T>): Promise<T> {
    for (const ms of PAUSES_MS) {
      try {
        return await this.writes(work());
      } catch (error) {
        if (!isServerError(error, ...PASSING)) throw error;
      }
      await new Promise<void>((resolve) => void this.#clock.after(ms, resolve));
    }
    return await this.writes(work());
  }
}
