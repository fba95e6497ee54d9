/** A machine without files and processes, and a journal that a daemon loses by its death. */
import type { JournalEntry } from "../../core/daemon/journal/entry.ts";
import type { JournalStore } from "../../core/daemon/journal/memory.ts";
import type { ProcessTable } from "../../platform/linux/process_table.ts";
import { systemError } from "../../platform/system_error.ts";
import type { Files } from "../../platform/types.ts";

/** Nothing there, and nothing that could be made. */
export const noFiles = new Proxy({} as Files, {
  get: (_, name) => async () => {
    if (name !== "remove") throw systemError("ENOENT", "ENOENT: no files");
  },
});
/** Of no daemon, and of no script. */
export const noProcesses: ProcessTable = {
  withVariable: async () => new Map(),
  identityOf: async () => undefined,
  commandLineOf: async () => [],
  signal: () => false,
};

/** A journal in which a dead daemon writes nothing any more. */
export class MortalJournal implements JournalStore {
  isDead = false;
  readonly inner: JournalStore;

  constructor(inner: JournalStore) {
    this.inner = inner;
  }

  entries = () => this.inner.entries();
  holders = (undo: string, value: string | number | boolean) => this.inner.holders(undo, value);
  values = (undo: string) => this.inner.values(undo);
  get = (name: string) => this.inner.get(name);
  put(entry: JournalEntry): void {
    if (!this.isDead) this.inner.put(entry);
  }
  note(entry: JournalEntry): boolean {
    return this.isDead || this.inner.note(entry);
  }
  drop(name: string): void {
    if (!this.isDead) this.inner.drop(name);
  }
  catchUp(): boolean {
    return this.inner.catchUp();
  }
}
