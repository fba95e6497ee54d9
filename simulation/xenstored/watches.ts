/** The watches of one connection, found by their paths. Pure. */
import { parentPath } from "../../core/xenstore/paths.ts";

export interface ServerWatch {
  /** Absolute, or special (`@…`). */
  readonly path: string;
  readonly token: Uint8Array;
  /** Length of the prefix to cut off event paths; 0 for an absolute watch. */
  readonly relative: number;
}

interface Registered {
  readonly watch: ServerWatch;
  /** Counts up: events come in the order in which their watches were registered. */
  readonly number: number;
}

/** Registered watches. Finding those that a change concerns takes no longer when there are many. */
export class Watches {
  readonly #byPath = new Map<string, Registered[]>();
  #size = 0;
  #last = 0;

  get size(): number {
    return this.#size;
  }

  /** Registers one. @returns false when there is one with this path and token */
  add(watch: ServerWatch): boolean {
    const here = this.#byPath.get(watch.path) ?? [];
    if (indexOf(here, watch.token) >= 0) return false;
    if (here.length === 0) this.#byPath.set(watch.path, here);
    here.push({ watch, number: ++this.#last });
    this.#size++;
    return true;
  }

  /** Whether there is one with this path and token. */
  has({ path, token }: ServerWatch): boolean {
    return indexOf(this.#byPath.get(path) ?? [], token) >= 0;
  }

  /** Ends the one with this path and token. @returns false when there is none */
  remove({ path, token }: Pick<ServerWatch, "path" | "token">): boolean {
    const here = this.#byPath.get(path) ?? [];
    const index = indexOf(here, token);
    if (index < 0) return false;
    here.splice(index, 1);
    if (here.length === 0) this.#byPath.delete(path);
    this.#size--;
    return true;
  }

  /** Ends all. */
  clear(): void {
    this.#byPath.clear();
    this.#size = 0;
  }

  /** Those on this very path, in the order of their registration. */
  on(path: string): ServerWatch[] {
    return this.#byPath.get(path)?.map(({ watch }) => watch) ?? [];
  }

  /** Those on an absolute path or one above it, in the order of their registration. */
  above(path: string): ServerWatch[] {
    if (this.#size === 0) return [];
    const found: Registered[] = [];
    for (let at: string | null = path; at !== null; at = parentPath(at)) {
      const here = this.#byPath.get(at);
      if (here !== undefined) found.push(...here);
    }
    return found.sort((a, b) => a.number - b.number).map(({ watch }) => watch);
  }
}

/** Tokens are any bytes, hence no text to compare. */
function indexOf(watches: readonly Registered[], token: Uint8Array): number {
  return watches.findIndex(({ watch }) =>
    watch.token.length === token.length && watch.token.every((byte, at) => byte === token[at])
  );
}
