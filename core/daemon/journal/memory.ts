/** A journal that does not outlive the process, and what every journal can do. */
import type { JournalEntry } from "./entry.ts";
import { EntryMap, type UndoValue } from "./entry_map.ts";

/** Records of devices, by their names (`vbd/7/51712`). */
export interface JournalStore {
  entries(): JournalEntry[];
  get(name: string): JournalEntry | undefined;
  /** Those whose undo record has this value under this name. */
  holders(undo: string, value: string | number | boolean): JournalEntry[];
  /** The different values that undo records have under this name. */
  values(undo: string): UndoValue[];
  /** @throws JournalError when it cannot be written; then the earlier record counts */
  put(entry: JournalEntry): void;
  /** One that is not there is no error. @throws JournalError when it cannot be written */
  drop(name: string): void;
}

/** Records in memory, for tests. */
export class MemoryJournal implements JournalStore {
  readonly #entries = new EntryMap();

  entries(): JournalEntry[] {
    return [...this.#entries.all.values()];
  }

  holders(undo: string, value: string | number | boolean): JournalEntry[] {
    return this.#entries.holders(undo, value);
  }

  values(undo: string): UndoValue[] {
    return this.#entries.values(undo);
  }

  get(name: string): JournalEntry | undefined {
    return this.#entries.get(name);
  }

  put(entry: JournalEntry): void {
    this.#entries.set(entry);
  }

  drop(name: string): void {
    this.#entries.delete(name);
  }
}
