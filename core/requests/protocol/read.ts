/** Reading a request as it is in the store. */
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";

/** Most nodes that are read, and most levels below the request: `publish/guest/port/1` is the fourth. */
const NODES_MAX = 300;
const LEVELS_MAX = 4;

/**
 * All nodes below a directory, by their names relative to it; null if it does not exist.
 * @throws RangeError when there are more than anybody could have meant
 */
export async function readTree(
  store: NodeAccess,
  path: string,
): Promise<Record<string, string> | null> {
  const nodes: Record<string, string> = {};
  let count = 0;
  const walk = async (directory: string, prefix: string, level: number): Promise<boolean> => {
    const names = await absentOrHidden(store.list(directory));
    if (names === undefined) return false;
    count += names.length;
    if (count > NODES_MAX) throw new RangeError(`there are more than ${NODES_MAX} nodes`);
    await Promise.all(names.map(async (name) => {
      const value = await store.readVisible(`${directory}/${name}`);
      if (value === undefined) return;
      nodes[`${prefix}${name}`] = value;
      if (value === "" && level < LEVELS_MAX) {
        await walk(`${directory}/${name}`, `${prefix}${name}/`, level + 1);
      }
    }));
    return true;
  };
  return await walk(path, "", 1) ? nodes : null;
}
