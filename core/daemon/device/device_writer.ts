/** What the daemon writes into one device's directory; each write makes the next look read all anew. */
import type { DeviceId } from "../../xen/device_id.ts";
import type { ErrorPublication } from "../lane_actions.ts";
import type { StoreClient } from "../../xenstore/client.ts";
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

/** Writes. What the directory of another attach would get is not written. */
export class DeviceWriter {
  readonly #store: StoreClient;
  readonly #of: Written;
  readonly #changed: () => void;

  /** @param changed called when something may have been written */
  constructor(store: StoreClient, of: Written, changed: () => void) {
    this.#store = store;
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
    await this.writes(signalClosing(this.#store, this.#of.id, this.#of.attachId()));
  }

  /** @param kept the attach id that stays; null: it is removed, too */
  async cleanse(kept: string | null): Promise<void> {
    await this.writes(cleanse(this.#store, this.#of.id, this.#of.results, kept));
  }

  async requestClose(): Promise<void> {
    await this.writes(requestClose(this.#store, this.#of.id, this.#of.attachId()));
  }

  async publishError(error: string, how: ErrorPublication): Promise<void> {
    const { id } = this.#of;
    const attachId = how.another ? null : this.#of.attachId();
    await this.writes(publishError(this.#store, id, error, attachId, how));
  }

  /** @returns what `hotplug-status` said instead; null when there is nothing to be said */
  async publishSuccess(attachId: string | null): ReturnType<typeof publishSuccess> {
    return await this.writes(publishSuccess(this.#store, this.#of.id, attachId));
  }

  /** @param wanted whether it was when it was seen last */
  async closeBackend(wanted: boolean): Promise<void> {
    await this.writes(closeBackend(this.#store, this.#of.id, this.#of.attachId(), wanted));
  }

  /** @param attachId that it must have; null: any. @returns null, or why it was not deleted */
  async deleteDirectory(attachId: string | null): Promise<string | null> {
    const { id, frontendKind } = this.#of;
    await publishDisconnected(this.#store, id);
    return await this.writes(deleteDirectory(this.#store, id, frontendKind, attachId));
  }
}
