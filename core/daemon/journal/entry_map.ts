/** Records of devices by name, and by what their undo records say. */
import { deviceName } from "../../device/id.ts";
import type { JournalEntry } from "./entry.ts";

/** A value of an undo record. */
type UndoValue = JournalEntry["undo"][string];

/** The records, with an index of each undo name that was ever asked for: there may be thousands. */
export class EntryMap {
  readonly #entries: Map<string, JournalEntry>;
  readonly #indexes = new Map<string, Map<UndoValue, Set<string>>>();

  /** @param entries by device name; the map is this object's from now on */
  constructor(entries = new Map<string, JournalEntry>()) {
    this.#entries = entries;
  }

  /** All of them, by name. */
  get all(): ReadonlyMap<string, JournalEntry> {
    return this.#entries;
  }

  get(name: string): JournalEntry | undefined {
    return this.#entries.get(name);
  }

  set(entry: JournalEntry): void {
    const name = deviceName(entry.id);
    const before = this.#entries.get(name);
    this.#entries.set(name, entry);
    for (const [undo, index] of this.#indexes) {
      const [old, now] = [before?.undo[undo], entry.undo[undo]];
      if (old === now) continue;
      unlist(index, old, name);
      list(index, now, name);
    }
  }

  delete(name: string): void {
    const before = this.#entries.get(name);
    if (before === undefined) return;
    this.#entries.delete(name);
    for (const [undo, index] of this.#indexes) unlist(index, before.undo[undo], name);
  }

  /** Those whose undo record has this value under this name. */
  holders(undo: string, value: UndoValue): JournalEntry[] {
    let index = this.#indexes.get(undo);
    if (index === undefined) {
      index = new Map();
      for (const [name, entry] of this.#entries) list(index, entry.undo[undo], name);
      this.#indexes.set(undo, index);
    }
    return [...index.get(value) ?? []].map((name) => this.#entries.get(name)!);
  }
}

function list(
  index: Map<UndoValue, Set<string>>,
  value: UndoValue | undefined,
  name: string,
): void {
  if (value === undefined) return;
  const names = index.get(value);
  if (names === undefined) index.set(value, new Set([name]));
  else names.add(name);
}

function unlist(
  index: Map<UndoValue, Set<string>>,
  value: UndoValue | undefined,
  name: string,
): void {
  const names = value === undefined ? undefined : index.get(value);
  if (names === undefined) return;
  names.delete(name);
  if (names.size === 0) index.delete(value!);
}
