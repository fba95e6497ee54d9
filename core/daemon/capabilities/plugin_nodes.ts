/** Views of one directory of the store, that names cannot lead out of. */
import type { DeviceNodes } from "../../../contract/v1/plugin.ts";
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { ArgumentError } from "../../xenstore/errors.ts";
import { isWithin, joinPath, pathFault } from "../../xenstore/paths.ts";
import type { AddReads } from "../device/prefetch.ts";
import { visible } from "../device/observer.ts";
import { ATTACH_ID_NODE } from "../device/attach_id_node.ts";

/** @throws ArgumentError unless the name is that of a node below the directory */
export function pathBelow(directory: string, name: string): string {
  const path = joinPath(directory, name);
  const fault = name === "" || name.startsWith("/") || name.startsWith("@")
    ? "it is not relative"
    : pathFault(path);
  if (fault !== null || !isWithin(path, directory) || path === directory) {
    throw new ArgumentError(`invalid node name ${JSON.stringify(name)}: ${fault ?? "not below"}`);
  }
  return path;
}

/**
 * The nodes of a backend directory.
 * @param attachId the attach id that it must have; null: any will do
 * @param first what may have been read already of a directory that has it
 */
export function backendNodes(
  store: StoreClient,
  directory: string,
  attachId: string | null,
  first?: AddReads,
): DeviceNodes {
  /** Whether the directory is there, and is the one that is meant. */
  const isOurs = async (access: NodeAccess): Promise<boolean> =>
    attachId === null
      ? await visible(access, directory)
      : await access.readVisible(`${directory}/${ATTACH_ID_NODE}`) === attachId;
  let check: Promise<boolean> | null = null;
  /** Asked behind all that is read in this turn, and once for all of it. */
  const checkBehind = (): Promise<boolean> =>
    check ??= Promise.resolve().then(() => {
      check = null;
      return isOurs(store);
    });
  return {
    async read(name) {
      const path = pathBelow(directory, name);
      const known = first?.take(name);
      if (known?.value !== undefined) first?.saw(name, known.value);
      if (known) return known.value;
      // First, since it has to be asked behind this in the same write.
      const ours = checkBehind();
      const value = store.readVisible(path);
      value.catch(() => {});
      const isOurs = await ours;
      first?.end();
      const text = isOurs ? await value : undefined;
      if (text !== undefined) first?.saw(name, text);
      return text;
    },
    async write(nodes) {
      first?.end();
      const paths = pathsOf(directory, nodes);
      await store.transaction(async (t) => {
        // A plain write would bring a deleted directory back. All at once: one round trip.
        const ours = isOurs(t);
        const written = Promise.all(paths.map(([path, value]) => t.write(path, value)));
        written.catch(() => {});
        if (!await ours) throw new Error("its backend directory was deleted");
        await written;
      });
    },
    async remove(name) {
      first?.end();
      const path = pathBelow(directory, name);
      await store.transaction(async (t) => {
        if (await isOurs(t)) await absentOrHidden(t.remove(path));
      });
    },
  };
}

/**
 * The nodes of a directory that is a plugin's own.
 * @param beforeWrite called before anything may come into being
 */
export function ownNodes(
  store: StoreClient,
  directory: () => Promise<string>,
  beforeWrite: () => void,
): DeviceNodes {
  return {
    read: async (name) => await absentOrHidden(store.readText(pathBelow(await directory(), name))),
    async write(nodes) {
      const paths = pathsOf(await directory(), nodes);
      beforeWrite();
      await store.transaction(async (t) => {
        await Promise.all(paths.map(([path, value]) => t.write(path, value)));
      });
    },
    async remove(name) {
      const path = pathBelow(await directory(), name);
      await store.transaction(async (t) => {
        await absentOrHidden(t.remove(path));
      });
    },
  };
}

function pathsOf(directory: string, nodes: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(nodes).map(([name, value]) => {
    if (name === ATTACH_ID_NODE) {
      throw new ArgumentError(`invalid node name ${JSON.stringify(name)}: it is the daemon's own`);
    }
    return [pathBelow(directory, name), value];
  });
}
