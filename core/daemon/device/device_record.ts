/** One device's record in the journal: what it says, and each change of it. */
import type { Stage } from "../../lifecycle/state.ts";
import { type DeviceId, deviceName } from "../../xen/device_id.ts";
import type { Undo } from "../../../contract/v1/plugin.ts";
import type { JournalEntry } from "../journal/entry.ts";
import { type Held, NOTHING_HELD, UNKNOWN_HELD } from "../journal/held.ts";
import type { JournalStore } from "../journal/memory.ts";
import { isHolding, type Releases } from "../releases.ts";
import { OPERATION_VARIABLE } from "./orphans.ts";

type Nodes = JournalEntry["nodes"];

/** Keeps it. What adds to the record throws JournalError when it cannot be written. */
export class DeviceRecord {
  readonly name: string;
  readonly #id: DeviceId;
  readonly #journal: JournalStore;
  readonly #releases: Releases;

  constructor(id: DeviceId, journal: JournalStore, releases: Releases) {
    this.name = deviceName(id);
    this.#id = id;
    this.#journal = journal;
    this.#releases = releases;
  }

  /** The attach id of the directory; null if it never had one. */
  get attachId(): string | null {
    return this.entry?.attachId ?? null;
  }

  /** All that the journal has of it. */
  get entry(): JournalEntry | undefined {
    return this.#journal.get(this.name);
  }

  /** What the plugin has recorded. */
  get undo(): Undo {
    return this.entry?.undo ?? {};
  }

  /** What the daemon holds. */
  get held(): Held {
    return this.entry?.held ?? UNKNOWN_HELD;
  }

  /** The device's nodes, as far as they are kept. */
  get nodes(): Nodes {
    return this.entry?.nodes ?? {};
  }

  /** Whether all nodes are kept, and not just those that an add had read: all have this one. */
  get isBackedUp(): boolean {
    return Object.hasOwn(this.nodes, "frontend-id");
  }

  /**
   * What marks the processes of the operation under way; null when none is. One whose record could not be
   * written bears the attach id, by which the next daemon finds it.
   */
  get operation(): string | null {
    return this.entry?.operation ?? null;
  }

  /** Variables that the operation's processes get. */
  get environment(): Readonly<Record<string, string>> {
    return this.operation === null ? {} : { [OPERATION_VARIABLE]: this.operation };
  }

  /** What marks the device's processes. */
  get mark(): string {
    return `${this.name}/${this.attachId ?? ""}`;
  }

  /** Names of the processes that serve it. */
  get childNames(): string[] {
    return Object.keys(this.held.processes);
  }

  /** Names of the devices that it waits for, since they have what it was refused for. */
  get waitsFor(): readonly string[] {
    return this.entry?.waitsFor ?? [];
  }

  /** An attach begins. */
  begin(attachId: string): void {
    this.#put({
      stage: "adding",
      attachId,
      operation: crypto.randomUUID(),
      error: null,
      waitsFor: null,
      undo: {},
      held: NOTHING_HELD,
      nodes: {},
    });
  }

  /** It was set up by somebody who kept no record. */
  adopt(attachId: string): void {
    this.#put({ stage: "connected", attachId, operation: null });
  }

  /** @param waitsFor of one that was refused: names of the devices that it waits for; else null */
  note(stage: Stage, error: string | undefined, waitsFor: readonly string[] | null): void {
    // What the processes of an operation bear; there are none once it has ended.
    const runs = stage === "undoing" || stage === "removing";
    const done = stage === "failed" || stage === "removed";
    const now = this.#with({
      stage,
      waitsFor,
      ...(done ? { undo: {}, held: NOTHING_HELD, nodes: {} } : {}),
      operation: runs ? crypto.randomUUID() : null,
      ...(error === undefined ? {} : { error }),
    });
    const isWritten = this.#journal.note(now);
    if (!isWritten && runs) this.#journal.note({ ...now, operation: now.attachId });
    this.#given(now);
  }

  /** What may mark processes that an earlier daemon has left; null if there are none for sure. */
  get leftOver(): string | null {
    const entry = this.entry;
    return entry?.operation ?? (isHolding(entry) ? entry!.attachId : null);
  }

  /** @param read of an add: until all nodes are kept, those that it has read are */
  addUndo(more: Undo, read?: Nodes): void {
    this.#put({ undo: { ...this.undo, ...more }, ...this.#nodesFrom(read) });
  }

  /** Adds to what the daemon holds. To be called before it is acquired. @param read as above */
  hold(more: Partial<Held>, read?: Nodes): void {
    this.#put({ held: { ...this.held, ...more }, ...this.#nodesFrom(read) });
  }

  /** Keeps the device's nodes. */
  keepNodes(nodes: Nodes): void {
    this.#put({ nodes });
  }

  drop(): void {
    this.#journal.drop(this.name);
    this.#releases.released(this.name);
  }

  #nodesFrom(read: Nodes | undefined): { nodes?: Nodes } {
    return read === undefined || this.isBackedUp ? {} : { nodes: { ...read } };
  }

  #put(change: Partial<Omit<JournalEntry, "id">>): void {
    const now = this.#with(change);
    this.#journal.put(now);
    this.#given(now);
  }

  /** Whoever waits for what it held is told. */
  #given(now: JournalEntry): void {
    if (!isHolding(now)) this.#releases.released(this.name);
  }

  #with(change: Partial<Omit<JournalEntry, "id">>): JournalEntry {
    const before = this.entry ?? {
      id: this.#id,
      attachId: null,
      stage: "removing",
      operation: null,
      error: null,
      waitsFor: null,
      undo: {},
      held: UNKNOWN_HELD,
      nodes: {},
    };
    const isNew = change.stage !== undefined && change.stage !== this.entry?.stage;
    return { ...before, ...change, ...(isNew ? { since: Date.now() } : {}) };
  }
}
