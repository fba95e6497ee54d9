/** Removing directories together with what they leave empty (libxl_xshelp.c, `libxl__xs_path_cleanup`). */
import { absentOrHidden, type NodeAccess } from "../xenstore/access.ts";
import { isServerError } from "../xenstore/errors.ts";
import { parentPath } from "../xenstore/paths.ts";

/**
 * Removes a path and all below it, then its parents as long as they have neither value nor children
 * and may be removed. None there is no error.
 * @param t a transaction, if others may do the same: when they are ahead its commit tells, and it is
 *   done again
 */
export async function removeAndPrune(t: NodeAccess, path: string): Promise<void> {
  if (await absentOrHidden(t.read(path)) !== undefined) await removeIfThere(t, path);
  for (let parent = parentPath(path); parent !== null && parent !== "/";) {
    const [children, value] = await Promise.all([
      absentOrHidden(t.list(parent)),
      t.readVisible(parent),
    ]);
    if (children !== undefined) {
      if (children.length > 0 || value !== "") return;
      try {
        await removeIfThere(t, parent);
      } catch (error) {
        if (isServerError(error, "EACCES", "EPERM")) return;
        throw error;
      }
    }
    parent = parentPath(parent);
  }
}

/** xenstored 4.17 says EINVAL where the parent has gone since this node was seen. */
async function removeIfThere(t: NodeAccess, path: string): Promise<void> {
  try {
    await t.remove(path);
  } catch (error) {
    if (!isServerError(error, "ENOENT", "EINVAL")) throw error;
  }
}
