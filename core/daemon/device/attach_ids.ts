/** The attach ids of one device's directory: the one that it has, and the one that it is to have. */
import type { Observation } from "../../lifecycle/observation.ts";
import type { DeviceId } from "../../xen/device_id.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import type { DirectoryKeeper } from "../capabilities/directories.ts";
import { writeAttachId } from "./attach_id.ts";
import type { DeviceRecord } from "./device_record.ts";
import type { DevicePrefetch } from "./prefetch.ts";
import type { DeviceReader } from "./reader.ts";

/** What they are kept with. */
export interface AttachIdParts {
  readonly store: StoreClient;
  readonly record: DeviceRecord;
  readonly reader: DeviceReader;
  readonly prefetch: DevicePrefetch;
  readonly directories: DirectoryKeeper;
}

/** Gives them, and knows them. */
export class AttachIds {
  readonly #id: DeviceId;
  readonly #parts: AttachIdParts;
  /** The id of the attach that is to come, once it was written. */
  #next: string | null = null;

  constructor(id: DeviceId, parts: AttachIdParts) {
    this.#id = id;
    this.#parts = parts;
  }

  /** The attach id by the journal; null if there is none. */
  get recorded(): string | null {
    return this.#parts.record.attachId;
  }

  /** That of the attach that is to come; null if none was written. */
  get next(): string | null {
    return this.#next;
  }

  /** Whether a directory that was seen has the id of the attach that is to come. */
  isNext({ attachId }: Observation): boolean {
    return this.#next !== null && attachId === this.#next;
  }

  /** That of the directory that was seen last, also of one that waits; null if it has none of ours. */
  of(seen: Observation): string | null {
    return this.recorded ?? (this.isNext(seen) ? this.#next : null);
  }

  /** Gives the directory the id of the attach that is to come. It may have one, so as to be looked at. */
  async mark(seen: Observation): Promise<void> {
    if (this.isNext(seen)) return;
    const attachId = crypto.randomUUID();
    this.#next = await this.#write(attachId, []) ? attachId : null;
  }

  /** Gives the directory an id by which the next look can tell whether all it reads is of this one. */
  async prove(): Promise<void> {
    const attachId = crypto.randomUUID();
    const nodes = await writeAttachId(this.#parts.store, this.#id, attachId, []);
    this.#next = nodes === null ? null : attachId;
  }

  /**
   * Records an attach that begins, and writes its id unless the directory was seen to have it.
   * @param again for the directory that was recorded already
   * @returns the id; null when there is no such directory any more
   */
  async begin(again: boolean, seen: Observation): Promise<string | null> {
    const { record, reader, prefetch } = this.#parts;
    const known = again ? this.recorded : this.#next;
    const isMarked = known !== null && known === seen.attachId;
    const attachId = isMarked ? known : crypto.randomUUID();
    // It is of this attach, and of no other.
    this.#next = null;
    record.begin(attachId);
    // What `add`, which comes next, is going to ask for: of the directory that has this attach id.
    if (!isMarked && !await this.#write(attachId, prefetch.names)) return null;
    return await reader.stillMarked(attachId) ? attachId : null;
  }

  /** The attach id of a directory that was set up before, which is given one if it has none. */
  async adopt(seen: Observation): Promise<string> {
    const known = this.of(seen);
    const attachId = known ?? crypto.randomUUID();
    if (this.recorded === null) {
      this.#next = null;
      this.#parts.record.adopt(attachId);
      if (known === null) await writeAttachId(this.#parts.store, this.#id, attachId, []);
    }
    return attachId;
  }

  /** The one that is to come is not used. */
  forgetNext(): void {
    this.#next = null;
  }

  /** Also removes what an earlier attach may have left in files. @param names to be read ahead */
  async #write(attachId: string, names: readonly string[]): Promise<boolean> {
    const { store, directories, reader, prefetch } = this.#parts;
    const [nodes] = await Promise.all([
      writeAttachId(store, this.#id, attachId, names),
      directories.remove(this.#id),
    ]);
    if (nodes === null) return false;
    reader.marked(attachId);
    if (names.length > 0) prefetch.keep(attachId, nodes);
    return true;
  }
}
