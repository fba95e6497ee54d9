/** Looks at one device, so that what is acted upon is true of one and the same directory. */
import { backendPath, type DeviceId, frontendPath } from "../../xen/device_id.ts";
import { parseState, XenbusState } from "../../xen/states.ts";
import { ABSENT, type Observation, wishOf } from "../../lifecycle/observation.ts";
import type { ProofOfSetup } from "../../../contract/v1/plugin.ts";
import { ATTACH_ID_NODE, readAttachId } from "./attach_id_node.ts";
import type { NodeAccess } from "../../xenstore/access.ts";
import type { Log } from "../../log/log.ts";
import { ServerError } from "../../xenstore/errors.ts";
import type { DirectoryKeeper } from "../capabilities/directories.ts";
import type { DevicePrefetch } from "./prefetch.ts";

/** The nodes that are looked at. */
const NODES = ["state", "online", "frontend-id", "frontend", "hotplug-status"] as const;

/** What is read of a device: nodes, its attach id, and whether the guest's directory and its own exist. */
export type Part = typeof NODES[number] | "attach-id" | "guest" | "directory";

/** In the order of reading. */
const ALL_PARTS: readonly Part[] = [...NODES, "attach-id", "guest", "directory"];

/**
 * What an event for a path at or below a device's directory may have changed: parts of it,
 * everything, or nothing that is looked at. Whatever deletes or makes the directory has an event of
 * its own: for the directory, or for one of the nodes without which it is no device. The attach id
 * is the daemon's own.
 */
export function changedBy(path: string, directory: string): Part | "all" | null {
  if (!path.startsWith(`${directory}/`)) return "all";
  const name = path.slice(directory.length + 1);
  return NODES.find((node) => node === name) ?? null;
}

/** Whether a node of a device's directory is one of those that are looked at. */
export function isLookedAt(name: string): boolean {
  return NODES.some((node) => node === name);
}

/** The text of each part; undefined when there is none. What exists without a text has an empty one. */
type Reading = Readonly<Record<Part, string | undefined>>;

/**
 * Reads parts of a device, and what else is asked for in the same round trip.
 * @param parts in the order of {@link ALL_PARTS}
 * @param names of other nodes of its directory
 * @throws StoreError when the store cannot be asked
 */
async function readParts(
  store: NodeAccess,
  id: DeviceId,
  frontendKind: string,
  parts: readonly Part[],
  names: readonly string[] = [],
): Promise<{ reading: Partial<Reading>; nodes: ReadonlyMap<string, string | undefined> }> {
  const directory = backendPath(id);
  const textOf = (name: string) => store.readVisible(`${directory}/${name}`);
  const nodes = readNodes(store, directory, names);
  nodes.catch(() => {});
  const present = async (path: string) => await visible(store, path) ? "" : undefined;
  const read = (part: Part) => {
    if (part === "attach-id") return textOf(ATTACH_ID_NODE);
    if (part === "guest") return present(frontendPath(id, frontendKind));
    return part === "directory" ? present(directory) : textOf(part);
  };
  const values = await Promise.all(parts.map(read));
  const reading: { -readonly [P in Part]?: string | undefined } = {};
  parts.forEach((part, index) => reading[part] = values[index]);
  return { reading, nodes: await nodes };
}

/** Values of a directory's nodes; undefined for those that there are not. */
export async function readNodes(
  store: NodeAccess,
  directory: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, string | undefined>> {
  const read = (name: string) => store.readVisible(`${directory}/${name}`);
  const values = await Promise.all(names.map(read));
  return new Map(names.map((name, index) => [name, values[index]]));
}

/**
 * What was read, as the lifecycle takes it.
 * @param proof what proves that an add has succeeded
 * @param hasResult whether what an add leaves was found
 */
function observationOf(
  reading: Reading,
  id: DeviceId,
  frontendKind: string,
  proof: readonly ProofOfSetup[],
  hasResult: boolean,
): Observation {
  if (reading.directory === undefined) return ABSENT;
  const state = parseState(reading.state ?? "");
  const report = reportOf(reading["hotplug-status"]);
  return {
    present: true,
    online: reading.online === "1" ? true : reading.online === "0" ? false : undefined,
    state,
    frontendPresent: reading.guest !== undefined,
    served: report === "connected" || proof.includes("state") && state === XenbusState.Connected ||
      hasResult && report === "none" && (state ?? 0) >= XenbusState.InitWait,
    report,
    attachId: reading["attach-id"] ?? null,
    fault: identityFault(id, reading, frontendPath(id, frontendKind)),
  };
}

/** What node `hotplug-status` says. */
export function reportOf(status: string | undefined): Observation["report"] {
  if (status === "error" || status === "busy") return "failed";
  return status === "connected" ? "connected" : "none";
}

/** A node that should have been something else, in one line; null when all is well. */
function oddityOf(reading: Reading): string | null {
  const { directory, state, online } = reading;
  if (directory === undefined) return null;
  if (state !== undefined && parseState(state) === undefined) {
    return `node state is ${quote(state)}; expected 0 to 8: ignored until it makes sense`;
  }
  if (online !== undefined && online !== "0" && online !== "1") {
    return `node online is ${quote(online)}; expected 0 or 1: ignored until it makes sense`;
  }
  return null;
}

/**
 * Whether a directory is there and readable. For a guest's directory the kernel's backends see it
 * likewise: one that is hidden from them is gone.
 */
export function visible(store: NodeAccess, path: string): Promise<boolean> {
  return store.readVisible(path).then(isThere);
}

function isThere(value: string | undefined): boolean {
  return value !== undefined;
}

/** Why the directory contradicts its own path: a script would be steered to another guest. */
function identityFault(
  id: DeviceId,
  { "frontend-id": frontendId, frontend }: Reading,
  expectedFrontend: string,
): string | null {
  if (frontendId !== String(id.frontendDomid)) {
    return `node frontend-id is ${quote(frontendId)}; its path says ${id.frontendDomid}`;
  }
  if (frontend !== expectedFrontend) {
    return `node frontend is ${quote(frontend)}; expected ${expectedFrontend}`;
  }
  return null;
}

/** A value for people, bounded. */
export function quote(value: string | undefined): string {
  if (value === undefined) return "missing";
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
}

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
interface Look {
  readonly reading: Reading;
  /** What else was to be read, by name. */
  readonly nodes: ReadonlyMap<string, string | undefined>;
}

/**
 * The looks at one device, with what the last one has read. Once its directory has an attach id, only what
 * the store says has changed is read again: a new device has an event for each of its nodes, and to read
 * all of them each time would take longer than its script takes to start.
 */
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

/** The attach ids of the directory, as far as a look needs them. */
interface DirectoryIds {
  /** The one of which the journal knows, and the one of the attach that is to come. */
  readonly recorded: string | null;
  readonly next: string | null;
  isNext(seen: Observation): boolean;
  /** Gives the directory one, so that a second look can show that it is still the same. */
  prove(): Promise<void>;
}

/** What it looks with. */
interface ObserverParts {
  readonly reader: DeviceReader;
  readonly attachIds: DirectoryIds;
  readonly prefetch: DevicePrefetch;
  readonly directories: DirectoryKeeper;
  readonly log: Log;
}

/** How one tells that a device is set up. */
interface SetupMarks {
  readonly frontendKind: string;
  readonly proof: readonly ProofOfSetup[];
  /** Names of the nodes that an add leaves. */
  readonly results: readonly string[];
}

/** The looks at one device. */
export class DeviceObserver {
  readonly #id: DeviceId;
  readonly #marks: SetupMarks;
  readonly #parts: ObserverParts;
  #lastOddity: string | null = null;
  /** It was not looked at yet. */
  #isNew = true;
  #seen: Observation = ABSENT;

  constructor(id: DeviceId, marks: SetupMarks, parts: ObserverParts) {
    this.#id = id;
    this.#marks = marks;
    this.#parts = parts;
  }

  /** The last look. */
  get seen(): Observation {
    return this.#seen;
  }

  /** @param isAdding an add runs: events tell of what decides whether it goes on */
  async observe(isAdding: boolean): Promise<Observation> {
    const { reading, nodes } = await this.#provenLook(isAdding);
    const oddity = oddityOf(reading);
    if (oddity !== null && oddity !== this.#lastOddity) this.#parts.log.warning(oddity);
    this.#lastOddity = oddity;
    this.#seen = this.#observationOf({ reading, nodes });
    this.#isNew = false;
    const { attachId } = this.#seen;
    if (nodes.size > 0 && attachId !== null) this.#parts.prefetch.keep(attachId, nodes);
    return this.#seen;
  }

  #observationOf({ reading, nodes }: Look): Observation {
    const { frontendKind, proof } = this.#marks;
    const hasResult = this.#isNew && this.#provingNodes.some((name) => nodes.get(name));
    return observationOf(reading, this.#id, frontendKind, proof, hasResult);
  }

  /**
   * A look whose parts are all of one directory, as far as that matters. A directory that is deleted
   * and made anew between two answers gives parts of both; only its attach id shows that it was the
   * same all the while. So what would be refused or adopted is given one, and looked at again.
   */
  async #provenLook(isAdding: boolean): Promise<Look> {
    const { reader, attachIds, directories } = this.#parts;
    let look = await this.#look(isAdding);
    if (!this.#needsProof(look)) return look;
    while (this.#needsProof(look)) {
      try {
        await attachIds.prove();
      } catch (error) {
        // What we may not write to, we cannot harm either.
        if (error instanceof ServerError) return look;
        throw error;
      }
      look = await reader.all(attachIds.next, this.#isNew ? this.#provingNodes : []);
    }
    // Of one that is adopted they are still needed.
    if (!this.#observationOf(look).served) await directories.remove(this.#id);
    return look;
  }

  /** Whether what the look says would be acted upon for good, and no attach id shows that it is so. */
  #needsProof(look: Look): boolean {
    const { attachIds } = this.#parts;
    if (attachIds.recorded !== null) return false;
    const seen = this.#observationOf(look);
    if (attachIds.isNext(seen)) return false;
    const wish = wishOf(seen);
    return wish === "refused" || seen.served && (wish === "present" || wish === "idle");
  }

  async #look(isAdding: boolean): Promise<Look> {
    const { reader, attachIds, prefetch } = this.#parts;
    const { recorded, next } = attachIds;
    if (recorded !== null) {
      return isAdding ? await reader.changes(recorded) : await reader.since(recorded);
    }
    if (next === null) return await reader.all(null, this.#isNew ? this.#provingNodes : []);
    // What `add` is going to ask for, if the next thing is an add.
    return await reader.since(next, prefetch.names);
  }

  /** What an add leaves, as far as it proves that there was one before we knew of the device. */
  get #provingNodes(): readonly string[] {
    const { proof, results } = this.#marks;
    return proof.includes("result") ? results.slice(0, 1) : [];
  }
}
