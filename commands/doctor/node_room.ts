/** How many nodes more a domain can make in the store, found out without making any. */
import type { StoreClient } from "../../core/xenstore/client.ts";
import { isServerError } from "../../core/xenstore/errors.ts";
import { domainPath } from "../../core/xenstore/paths.ts";

/** So many are enough, and no more is asked: a device has about 25. */
export const ROOM = 100;

/**
 * Between 0 and {@link ROOM}, which means as many or more. For a moment there is a node `data/xdevd-doctor`.
 * @param domid whose connection it is @throws StoreError
 */
export async function nodesLeft(store: StoreClient, domid: number): Promise<number> {
  const data = `${domainPath(domid)}/data`;
  const mark = `${data}/xdevd-doctor`;
  try {
    await store.write(mark, "0");
  } catch (error) {
    if (isFull(error)) return 0;
    throw error;
  }
  try {
    const isRoomFor = (count: number) => fits(store, mark, `${data}${"/q".repeat(count)}`);
    if (await isRoomFor(ROOM)) return ROOM;
    let [least, most] = [0, ROOM - 1];
    while (least < most) {
      const middle = Math.ceil((least + most) / 2);
      if (await isRoomFor(middle)) least = middle;
      else most = middle - 1;
    }
    return least;
  } finally {
    await store.remove(mark).catch(() => {});
  }
}

/**
 * Whether the quota has room for all nodes of a path. The transaction that would make them meets a change
 * that it has read, so that none is made: the store looks at the quota before that.
 */
async function fits(store: StoreClient, mark: string, path: string): Promise<boolean> {
  try {
    await store.transaction(async (t) => {
      const before = Number(await t.readText(mark));
      await t.makeDirectory(path);
      await store.write(mark, String(before + 1));
    }, { attempts: 1 });
  } catch (error) {
    if (isFull(error)) return false;
    if (isServerError(error, "EAGAIN")) return true;
    throw error;
  }
  // A store that saw no conflict.
  await store.remove(path.replace(/(\/q)+$/, "/q"));
  return true;
}

/** Whether the store has refused something since the quota is used up. */
export function isFull(error: unknown): boolean {
  return isServerError(error, "ENOSPC", "EQUOTA");
}
