/** Keeps one device's nodes in the journal, for a `remove` that has to do without its directory. */
import { backendPath, type DeviceId } from "../../xen/device_id.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import type { Log } from "../../log/log.ts";
import { readAttachId } from "./attach_id_node.ts";
import type { DeviceRecord } from "./device_record.ts";
import { copyOf } from "./node_backup.ts";

/** Nodes that change after the setup has read them. */
const VOLATILE = ["state", "hotplug-status"] as const;

/** The backup of one device. */
export class BackupKeeper {
  readonly #id: DeviceId;
  readonly #store: StoreClient;
  readonly #record: DeviceRecord;
  readonly #volatile: readonly string[];
  readonly #log: Log;

  /** @param results names of the nodes that its setup writes */
  constructor(
    id: DeviceId,
    store: StoreClient,
    record: DeviceRecord,
    results: readonly string[],
    log: Log,
  ) {
    this.#id = id;
    this.#store = store;
    this.#record = record;
    this.#volatile = [...VOLATILE, ...results];
    this.#log = log;
  }

  /**
   * Keeps the nodes; a failure only means that a script cannot be given them later.
   * @returns what was kept; null when nothing was
   */
  async make(): Promise<Readonly<Record<string, string>> | null> {
    const record = this.#record;
    try {
      const path = backendPath(this.#id);
      const nodes = await copyOf(this.#store, path, record.nodes, this.#volatile);
      // Of this attach's directory, and not of one that took its place.
      if (await readAttachId(this.#store, this.#id) !== record.attachId) return null;
      record.keepNodes(nodes);
      return nodes;
    } catch (error) {
      this.#log.debug(`its nodes are not kept: ${(error as Error).message}`);
      return null;
    }
  }
}
