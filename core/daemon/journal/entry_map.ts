/** Records of devices by name, and by what their undo records say. */
import { own } from "../../../contract/v1/own.ts";
import { deviceName } from "../../xen/device_id.ts";
import type { JournalEntry } from "./entry.ts";

/** A value of an undo record. */
export type UndoValue = JournalEntry["undo"][string];

/** Names of devices, by the value that their records have under one name. */
type Index = Map<UndoValue, Set<string>>;

/**
 * The records, with an index of each undo name that was ever asked for: there may be thousands.
 * Names with a blank (`storage 8:1`) are as many as there are things that are used: they are indexed
 * from the start, each for itself, and a change only looks at those that the record has.
 */
export class EntryMap {
  readonly #entries: Map<string, JournalEntry>;
  readonly #indexes = new Map<string, Index>();
  readonly #many = new Map<string, Index>();

  /** @param entries by device name; the map is this object's from now on */
  constructor(entries = new Map<string, JournalEntry>()) {
    this.#entries = entries;
    for (const [name, { undo }] of entries) this.#changeMany(name, {}, undo);
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
    if (before?.undo === entry.undo) return;
    this.#change(name, before?.undo ?? {}, entry.undo);
  }

  delete(name: string): void {
    const before = this.#entries.get(name);
    if (before === undefined) return;
    this.#entries.delete(name);
    this.#change(name, before.undo, {});
  }

  /** Those whose undo record has this value under this name. */
  holders(undo: string, value: UndoValue): JournalEntry[] {
    return [...this.#indexOf(undo)?.get(value) ?? []].map((name) => this.#entries.get(name)!);
  }

  /** The different values that undo records have under this name. */
  values(undo: string): UndoValue[] {
    return [...this.#indexOf(undo)?.keys() ?? []];
  }

  #indexOf(undo: string): Index | undefined {
    if (isOneOfMany(undo)) return this.#many.get(undo);
    let index = this.#indexes.get(undo);
    if (index === undefined) {
      index = new Map();
      for (const [name, entry] of this.#entries) list(index, valueOf(entry.undo, undo), name);
      this.#indexes.set(undo, index);
    }
    return index;
  }

  #change(name: string, before: JournalEntry["undo"], now: JournalEntry["undo"]): void {
    for (const [undo, index] of this.#indexes) {
      const [old, value] = [valueOf(before, undo), valueOf(now, undo)];
      if (old === value) continue;
      unlist(index, old, name);
      list(index, value, name);
    }
    this.#changeMany(name, before, now);
  }

  #changeMany(name: string, before: JournalEntry["undo"], now: JournalEntry["undo"]): void {
    for (const [undo, old] of Object.entries(before)) {
      const index = this.#many.get(undo);
      if (index === undefined || valueOf(now, undo) === old) continue;
      unlist(index, old, name);
      if (index.size === 0) this.#many.delete(undo);
    }
    for (const [undo, value] of Object.entries(now)) {
      if (!isOneOfMany(undo) || valueOf(before, undo) === value) continue;
      const index = this.#many.get(undo) ?? new Map();
      list(index, value, name);
      this.#many.set(undo, index);
    }
  }
}

function isOneOfMany(undo: string): boolean {
  return undo.includes(" ");
}

/** What a record has itself: `constructor` may be a name, too. */
function valueOf(undo: JournalEntry["undo"], name: string): UndoValue | undefined {
  return own(undo, name);
}

function list(index: Index, value: UndoValue | undefined, name: string): void {
  if (value === undefined) return;
  const names = index.get(value);
  if (names === undefined) index.set(value, new Set([name]));
  else names.add(name);
}

function unlist(index: Index, value: UndoValue | undefined, name: string): void {
  const names = value === undefined ? undefined : index.get(value);
  if (names === undefined) return;
  names.delete(name);
  if (names.size === 0) index.delete(value!);
}
