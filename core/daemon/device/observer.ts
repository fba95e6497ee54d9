/** Looks at one device, so that what is acted upon is true of one and the same directory. */
import { ABSENT, type Observation, wishOf } from "../../lifecycle/observation.ts";
import type { ProofOfSetup } from "../../../contract/v1/plugin.ts";
import type { Log } from "../../log/log.ts";
import type { DeviceId } from "../../xen/device_id.ts";
import { ServerError } from "../../xenstore/errors.ts";
import type { DirectoryKeeper } from "../capabilities/directories.ts";
import type { AttachIds } from "./attach_ids.ts";
import { observationOf, oddityOf } from "./observe.ts";
import type { DevicePrefetch } from "./prefetch.ts";
import type { DeviceReader, Look } from "./reader.ts";

/** What it looks with. */
export interface ObserverParts {
  readonly reader: DeviceReader;
  readonly attachIds: AttachIds;
  readonly prefetch: DevicePrefetch;
  readonly directories: DirectoryKeeper;
  readonly log: Log;
}

/** How one tells that a device is set up. */
export interface SetupMarks {
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
