/**
 * A copy of a device's nodes, for scripts that have to undo what they did for a directory that is
 * gone: they read all they need from the store.
 */
import { own } from "../../../contract/v1/own.ts";
import { type DeviceId, relativeBackendPath } from "../../xen/device_id.ts";
import { absentOrHidden } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { domainPath, parentPath } from "../../xenstore/paths.ts";
import { both } from "./both.ts";
import { ATTACH_ID_NODE } from "./attach_id_node.ts";

/** Where copies are, relative to the domain's home: below what every domain has for its own use. */
export const COPY_BASE = "data/xdevd/backend";

/** Most nodes that are copied, and most bytes of them; a device has some 25, and 1 KiB. */
const NODES_MAX = 64;
const BYTES_MAX = 16 * 1024;

const encoder = new TextEncoder();

/** Takes nodes as long as there is room for them: the journal's records are bounded. */
export class NodeCollector {
  readonly nodes: Record<string, string> = {};
  #count = 0;
  #bytes = 0;

  /** @returns whether there was room; a node that is there already is replaced */
  take(name: string, value: string): boolean {
    const before = own(this.nodes, name);
    const more = sizeOf(value) + (before === undefined ? sizeOf(name) : -sizeOf(before));
    const count = this.#count + (before === undefined ? 1 : 0);
    if (count > NODES_MAX || this.#bytes + more > BYTES_MAX) return false;
    this.nodes[name] = value;
    [this.#count, this.#bytes] = [count, this.#bytes + more];
    return true;
  }
}

function sizeOf(text: string): number {
  return encoder.encode(text).length;
}

/**
 * The nodes of a backend directory, as far as they are to be kept; those below them are not.
 * @param known what is known already, and not read again unless it is among `volatile`
 */
export async function copyOf(
  store: StoreClient,
  directory: string,
  known: Readonly<Record<string, string>> = {},
  volatile: readonly string[] = [],
): Promise<Record<string, string>> {
  const names = (await absentOrHidden(store.list(directory)) ?? []).slice(0, NODES_MAX);
  const values = await Promise.all(names.map((name) => {
    const value = volatile.includes(name) ? undefined : own(known, name);
    return value ?? store.readVisible(`${directory}/${name}`);
  }));
  const copy = new NodeCollector();
  for (const [index, name] of names.entries()) {
    const value = values[index];
    if (value === undefined || name === ATTACH_ID_NODE) continue;
    if (!copy.take(name, value)) break;
  }
  return copy.nodes;
}

/**
 * Runs `work` while the copy of a device is in the store.
 * @param work is told where it is
 * @throws Error when it cannot be put there; what `work` throws
 */
export async function withCopy<T>(
  store: StoreClient,
  id: DeviceId,
  nodes: Readonly<Record<string, string>>,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = `${domainPath(id.backendDomid)}/${
    relativeBackendPath(id).replace(/^backend/, COPY_BASE)
  }`;
  try {
    await store.transaction(async (t) => {
      await absentOrHidden(t.remove(directory));
      for (const [name, value] of Object.entries(nodes)) {
        await t.write(`${directory}/${name}`, value);
      }
    });
  } catch (error) {
    throw new Error(
      `no copy of its nodes can be made for the script: ${(error as Error).message}`,
    );
  }
  return await both(work(directory), () =>
    store.transaction(async (t) => {
      await absentOrHidden(t.remove(directory));
      // The empty directories above it, up to `data`.
      let above = parentPath(directory);
      for (let level = 0; level < 4 && above !== null; level++, above = parentPath(above)) {
        if ((await absentOrHidden(t.list(above)) ?? []).length > 0) break;
        await absentOrHidden(t.remove(above));
      }
    }));
}
