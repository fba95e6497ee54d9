/**
 * Reads one device. Once its directory has an attach id, only what the store says has changed is read
 * again: a new device has an event for each of its nodes, and to read all of them each time would take
 * longer than its script takes to start.
 */
import type { DeviceId } from "../../xen/device_id.ts";
import type { NodeAccess } from "../../xenstore/access.ts";
import { readAttachId } from "./attach_id.ts";
import { ALL_PARTS, type Part, type Reading, readParts } from "./observe.ts";

/** Of what decides whether an add goes on, the parts that have an event each. */
const DECISIVE: readonly Part[] = ["state", "online", "guest"];

const MARKED = ALL_PARTS.filter((part) => part !== "directory");
const NODES_AND_GUEST = MARKED.filter((part) => part !== "attach-id");

/**
 * Read each time, of a directory that has an attach id: that proves the rest, and of the guest's
 * directory no event tells.
 */
const WITNESSES: readonly Part[] = ["attach-id", "guest"];

const NOTHING: Look["nodes"] = new Map();

/** What a look has read. */
export interface Look {
  readonly reading: Reading;
  /** What else was to be read, by name. */
  readonly nodes: ReadonlyMap<string, string | undefined>;
}

/** The looks at one device, with what the last one has read. */
export class DeviceReader {
  readonly #store: NodeAccess;
  readonly #id: DeviceId;
  readonly #frontendKind: string;
  #last: Reading | null = null;
  readonly #changed = new Set<Part>(ALL_PARTS);
  /** How often everything may have changed. */
  #replacements = 0;
  /** Nothing was read since it was given its attach id. */
  #justMarked = false;

  constructor(store: NodeAccess, id: DeviceId, frontendKind: string) {
    this.#store = store;
    this.#id = id;
    this.#frontendKind = frontendKind;
  }

  /** To be told of each event: what is read from now on is newer than that. */
  changed(part: Part | "all"): void {
    if (part !== "all") return void this.#changed.add(part);
    this.#replacements++;
    for (const each of ALL_PARTS) this.#changed.add(each);
  }

  /**
   * Whether the directory still has an attach id that it was given after the last look. It is asked for
   * only where an event has said meanwhile that the directory is another one, or gone.
   * @throws StoreError when the store cannot be asked
   */
  async stillMarked(attachId: string): Promise<boolean> {
    if (!this.#changed.has("directory")) return true;
    for (let known = -1; known !== this.#replacements;) {
      known = this.#replacements;
      if (await readAttachId(this.#store, this.#id) !== attachId) return false;
    }
    return true;
  }

  /** To be told that the directory was found, and given an attach id. */
  marked(attachId: string): void {
    if (this.#last === null) return;
    this.#last = { ...this.#last, "attach-id": attachId, directory: "" };
    this.#changed.delete("attach-id");
    this.#justMarked = true;
  }

  /** Whether the guest's directory was there when it was looked for last. */
  get sawGuest(): boolean {
    return this.#last?.guest !== undefined;
  }

  /**
   * Reads everything; the attach id only where one is expected.
   * @param expected the attach id that the directory must have, if it is known
   * @param names of other nodes to be read with that
   * @throws StoreError when the store cannot be asked
   */
  async all(expected: string | null, names: readonly string[] = []): Promise<Look> {
    this.#changed.delete("directory");
    const parts = expected === null ? NODES_AND_GUEST : MARKED;
    const { reading, nodes } = await this.#read(parts, names);
    const found = expected === null ? undefined : reading["attach-id"];
    // Of one that is set up, its attach id shows that it is there; of another, its state does.
    const isThere = expected === null ? reading.state !== undefined : found === expected;
    this.#last = { ...reading, "attach-id": found, directory: isThere ? "" : undefined };
    if (isThere) return { reading: this.#last, nodes };
    // Behind the rest: deleted while that was read, it would pass for one that is not ours.
    return { ...await this.#read(["directory"], []), nodes };
  }

  /**
   * Reads what has changed since the last look, and whether it is still the directory with this
   * attach id; everything when the directory itself has changed, or has another one.
   * @param names of other nodes to be read if the state, on which an add depends, is read
   * @throws StoreError when the store cannot be asked
   */
  async since(attachId: string, names: readonly string[] = []): Promise<Look> {
    if (this.#changed.has("directory") || this.#last?.["attach-id"] !== attachId) {
      return await this.all(attachId, names);
    }
    if (this.#justMarked && this.#changed.size === 0) {
      this.#justMarked = false;
      return { reading: this.#last, nodes: NOTHING };
    }
    const parts = ALL_PARTS.filter((part) => this.#changed.has(part) || WITNESSES.includes(part));
    const look = await this.#read(parts, parts.includes("state") ? names : []);
    return look.reading["attach-id"] === attachId ? look : await this.all(attachId, names);
  }

  /**
   * Reads what has changed since the last look, as far as it decides whether an add goes on;
   * everything when the directory itself has changed, or the last look's had another attach id.
   * @throws StoreError when the store cannot be asked
   */
  async changes(attachId: string): Promise<Look> {
    if (this.#changed.has("directory") || this.#last?.["attach-id"] !== attachId) {
      return await this.all(attachId);
    }
    return await this.#read(DECISIVE.filter((part) => this.#changed.has(part)), []);
  }

  async #read(parts: readonly Part[], names: readonly string[]): Promise<Look> {
    this.#justMarked = false;
    // Before it is asked for: what an event names from here on is read once more.
    for (const part of parts) this.#changed.delete(part);
    const known = this.#last;
    try {
      const { reading, nodes } = await readParts(
        this.#store,
        this.#id,
        this.#frontendKind,
        parts,
        names,
      );
      this.#last = { ...known, ...reading } as Reading;
      return { reading: this.#last, nodes };
    } catch (error) {
      this.changed("all");
      throw error;
    }
  }
}
