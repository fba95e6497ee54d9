/** One device's record in the journal: what it says, and each change of it. */
import type { Stage } from "../../lifecycle/state.ts";
import { type DeviceId, deviceName } from "../../xen/device_id.ts";
import type { Undo } from "../../../contract/v1/plugin.ts";
import { CHILD_RECORD } from "../capabilities/children.ts";
import { NO_SCRIPT } from "../capabilities/script_record.ts";
import type { JournalEntry } from "../journal/entry.ts";
import type { JournalStore } from "../journal/memory.ts";
import { isHolding, type Releases, WAITS_RECORD } from "../releases.ts";
import { OPERATION_VARIABLE } from "./orphans.ts";

type Nodes = JournalEntry["nodes"];

/** Keeps it. Whatever changes the record throws JournalError when it cannot be written. */
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
    return this.#entry?.token || null;
  }

  /** What the plugin has recorded. */
  get undo(): Undo {
    return this.#entry?.undo ?? {};
  }

  /** The device's nodes, as far as they are kept. */
  get nodes(): Nodes {
    return this.#entry?.nodes ?? {};
  }

  /** Whether all nodes are kept, and not just those that an add had read: all have this one. */
  get isBackedUp(): boolean {
    return Object.hasOwn(this.nodes, "frontend-id");
  }

  /** What marks the processes of the operation under way; null when none is. */
  get operation(): string | null {
    return this.#entry?.operation ?? null;
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
    return Object.keys(this.undo).filter((name) => name.startsWith(CHILD_RECORD))
      .map((name) => name.slice(CHILD_RECORD.length));
  }

  /** Names of the devices that it waits for, since they have what it was refused for. */
  get waitsFor(): readonly string[] {
    return String(this.undo[WAITS_RECORD] ?? "").split(" ").filter((name) => name !== "");
  }

  /** An attach begins. */
  begin(attachId: string): void {
    this.#put({
      stage: "adding",
      token: attachId,
      operation: crypto.randomUUID(),
      error: null,
      undo: NO_SCRIPT,
      nodes: {},
    });
  }

  /** It was set up by somebody who kept no record. */
  adopt(attachId: string): void {
    this.#put({ stage: "connected", token: attachId, operation: null });
  }

  /** @param waitsFor of one that was refused: the devices that it waits for, with blanks between; else null */
  note(stage: Stage, error: string | undefined, waitsFor: string | null): void {
    // What the processes of an operation bear; there are none once it has ended.
    const runs = stage === "undoing" || stage === "removing";
    const done = stage === "failed" || stage === "removed";
    const waits: Undo = waitsFor === null ? {} : { [WAITS_RECORD]: waitsFor };
    this.#put({
      stage,
      ...(done ? { undo: waits, nodes: {} } : {}),
      operation: runs ? crypto.randomUUID() : null,
      ...(error === undefined ? {} : { error }),
    });
  }

  /** @param read of an add: until all nodes are kept, those that it has read are */
  addUndo(more: Undo, read?: Nodes): void {
    const nodes = read === undefined || this.isBackedUp ? {} : { nodes: { ...read } };
    this.#put({ undo: { ...this.undo, ...more }, ...nodes });
  }

  /** Keeps the device's nodes. */
  keepNodes(nodes: Nodes): void {
    this.#put({ nodes });
  }

  drop(): void {
    this.#journal.drop(this.name);
    this.#releases.released(this.name);
  }

  get #entry(): JournalEntry | undefined {
    return this.#journal.get(this.name);
  }

  #put(change: Partial<Omit<JournalEntry, "id">>): void {
    const before = this.#entry ?? {
      id: this.#id,
      token: "",
      stage: "removing",
      operation: null,
      error: null,
      undo: {},
      nodes: {},
    };
    const now = { ...before, ...change };
    this.#journal.put(now);
    if (!isHolding(now)) this.#releases.released(this.name);
  }
}
