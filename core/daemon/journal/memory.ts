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
  /**
   * The same of a device that goes on whether or not this can be written: where it cannot, it counts here,
   * and the file, which says that more is held than there is, follows as soon as it can.
   * @returns whether it is written
   */
  note(entry: JournalEntry): boolean;
  /** The device is gone; written as {@link note}. One that is not there is no error. */
  drop(name: string): void;
  /** Writes what could not be written. @returns whether nothing is left of that */
  catchUp(): boolean;
}

/** Records in memory: all of a journal for tests, and what the one that has a file answers from. */
export class MemoryJournal implements JournalStore {
  readonly #entries: EntryMap;

  /** @param entries by device name; the map is this object's from now on */
  constructor(entries?: Map<string, JournalEntry>) {
    this.#entries = new EntryMap(entries);
  }

  /** All of them, by name. */
  protected get all(): ReadonlyMap<string, JournalEntry> {
    return this.#entries.all;
  }

  entries(): JournalEntry[] {
    return [...this.all.values()];
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

  note(entry: JournalEntry): boolean {
    this.#entries.set(entry);
    return true;
  }

  drop(name: string): void {
    this.#entries.delete(name);
  }

  catchUp(): boolean {
    return true;
  }
}
