/** Why an add fails that was stopped: its script may have said so in the store before. */
import { backendPath, type DeviceId } from "../../xen/device_id.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { type Log, printable } from "../../log/log.ts";
import { FailedBefore } from "../lane_actions.ts";
import { readAttachId } from "./attach_id_node.ts";
import type { DeviceRecord } from "./device_record.ts";

/** Listens for it, of one device. */
export class FailureWords {
  readonly #id: DeviceId;
  readonly #store: StoreClient;
  readonly #record: DeviceRecord;
  readonly #log: Log;
  /** Why the script of the add that runs fails, as far as it has said. */
  #heard: string | null = null;

  constructor(id: DeviceId, store: StoreClient, record: DeviceRecord, log: Log) {
    this.#id = id;
    this.#store = store;
    this.#record = record;
    this.#log = log;
  }

  /** An add begins. */
  begin(): void {
    this.#heard = null;
  }

  /**
   * The script has said something. Whoever reads that may have the directory deleted before the
   * script has ended: so it is read at once.
   */
  listen(): void {
    this.#read().then((words) => this.#heard = words ?? this.#heard);
  }

  /** What was stopped because its failure was seen has failed by itself. */
  async explain(error: Error, { reason }: AbortSignal): Promise<Error> {
    const words = await this.#read() ?? this.#heard;
    if (words === null) return error;
    const { message } = reason as Error;
    const how = error.message.replaceAll(message, "it had failed");
    return new FailedBefore(how.includes(words) ? how : `${how}: ${words}`, { cause: error });
  }

  /** Why its script fails, if the store says that it does; of this attach's directory. */
  async #read(): Promise<string | null> {
    const directory = backendPath(this.#id);
    try {
      const [words, status, attachId] = await Promise.all([
        this.#store.readVisible(`${directory}/hotplug-error`),
        this.#store.readVisible(`${directory}/hotplug-status`),
        readAttachId(this.#store, this.#id),
      ]);
      if (attachId !== this.#record.attachId) return null;
      if (words) return printable(words);
      return status === "error" || status === "busy" ? `hotplug-status is ${status}` : null;
    } catch (error) {
      this.#log.debug(`what its script says cannot be read: ${(error as Error).message}`);
      return null;
    }
  }
}
