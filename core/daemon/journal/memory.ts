/** A journal that does not outlive the process, and what every journal can do. */
import { deviceName } from "../../device/id.ts";
import type { JournalEntry } from "./entry.ts";

/** Records of devices, by their names (`vbd/7/51712`). */
export interface JournalStore {
  entries(): JournalEntry[];
  get(name: string): JournalEntry | undefined;
  /** @throws JournalError when it cannot be written; then the earlier record counts */
  put(entry: JournalEntry): void;
  /** One that is not there is no error. @throws JournalError when it cannot be written */
  drop(name: string): void;
}

/** Records in memory, for tests. */
export class MemoryJournal implements JournalStore {
  readonly #entries = new Map<string, JournalEntry>();

  entries(): JournalEntry[] {
    return [...this.#entries.values()];
  }

  get(name: string): JournalEntry | undefined {
    return this.#entries.get(name);
  }

  put(entry: JournalEntry): void {
    this.#entries.set(deviceName(entry.id), entry);
  }

  drop(name: string): void {
    this.#entries.delete(name);
  }
}
