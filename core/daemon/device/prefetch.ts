/**
 * The nodes that a kind's plugin asks for first, read before it asks: beside the look that finds a
 * device ready, they cost no round trip of their own. What they are is learnt from the device before.
 */
import { NodeCollector } from "./node_backup.ts";
import type { Clock } from "../../../platform/types.ts";

/** Most names that are read ahead. */
const NAMES_MAX = 16;

/** How old what was read ahead may be, in ms: an answer that is waited for may take as long. */
const AGE_MAX_MS = 5;

/** What was read ahead, of a directory that has a certain attach id. */
export interface ReadAhead {
  readonly attachId: string;
  /** When it came, by the clock. */
  readonly at: number;
  readonly nodes: ReadonlyMap<string, string | undefined>;
}

/** What the adds of one plugin ask for first, by kind. */
export class Prefetch {
  readonly #names = new Map<string, readonly string[]>();

  /** What is worth reading ahead. */
  namesOf(kind: string): readonly string[] {
    return this.#names.get(kind) ?? [];
  }

  /**
   * The reads of one add.
   * @param ahead what was read ahead for it
   */
  open(kind: string, clock: Clock, ahead: ReadAhead | null): AddReads {
    return new AddReads(clock, ahead, (names) => this.#names.set(kind, names));
  }
}

/** What is read ahead for the next add of one device. */
export class DevicePrefetch {
  readonly #prefetch: Prefetch | undefined;
  readonly #kind: string;
  readonly #clock: Clock;
  #ahead: ReadAhead | null = null;

  /** @param prefetch without it, nothing is read ahead */
  constructor(prefetch: Prefetch | undefined, kind: string, clock: Clock) {
    this.#prefetch = prefetch;
    this.#kind = kind;
    this.#clock = clock;
  }

  /** What is worth reading ahead. */
  get names(): readonly string[] {
    return this.#prefetch?.namesOf(this.#kind) ?? [];
  }

  /** To be told of what was read of a directory that has this attach id. */
  keep(attachId: string, nodes: ReadAhead["nodes"]): void {
    this.#ahead = { attachId, at: this.#clock.now(), nodes };
  }

  /** The reads of an add for the directory that has this attach id. */
  open(attachId: string | null): AddReads {
    const ahead = this.#ahead?.attachId === attachId ? this.#ahead : null;
    return this.#prefetch?.open(this.#kind, this.#clock, ahead) ??
      new AddReads(this.#clock, null, () => {});
  }
}

/** What leaves a device's nodes as they were when it was made ready. */
const HARMLESS: ReadonlySet<string> = new Set(["nodes.read", "recordUndo", "scripts.check"]);

/**
 * The first reads of one add: they end with the first answer of the store, and with the first use of
 * anything that may take its time, or that may change what is read.
 */
export class AddReads {
  readonly #clock: Clock;
  readonly #learn: (names: readonly string[]) => void;
  #ahead: ReadAhead | null;
  #asked: Set<string> | null = new Set();
  readonly #seen = new NodeCollector();

  constructor(clock: Clock, ahead: ReadAhead | null, learn: (names: readonly string[]) => void) {
    this.#clock = clock;
    this.#ahead = ahead;
    this.#learn = learn;
  }

  /** What was read ahead of a node, if it was: undefined inside says that there is none. */
  take(name: string): { readonly value: string | undefined } | null {
    if (this.#asked !== null && this.#asked.size < NAMES_MAX) this.#asked.add(name);
    const { nodes, at } = this.#ahead ?? {};
    if (at === undefined || this.#clock.now() - at > AGE_MAX_MS) this.#ahead = null;
    if (this.#ahead === null || !nodes?.has(name)) return null;
    return { value: nodes.get(name) };
  }

  /** To be told of each use of a capability, by name. */
  used(capability: string): void {
    if (!HARMLESS.has(capability)) this.end();
  }

  /** To be told of what was read, whoever answered. */
  saw(name: string, value: string): void {
    this.#seen.take(name, value);
  }

  /** What was read, as it was last. */
  get seen(): Readonly<Record<string, string>> {
    return this.#seen.nodes;
  }

  /** From now on the store is asked. */
  end(): void {
    this.#ahead = null;
    if (this.#asked === null) return;
    this.#learn([...this.#asked]);
    this.#asked = null;
  }
}
