/** Files that lie near: the kernel's, the root's, the daemon's own. All is answered at once. */
import { checkNothingMounted } from "../linux/mount_table.ts";
import { hasCode } from "../system_error.ts";
import type { Files } from "../types.ts";
import * as calls from "./file_calls.ts";

/** A promise of what is done at once. */
async function at<T>(work: () => T): Promise<T> {
  return await work();
}

/**
 * For what lies where the daemon itself does (scripts), never for what may lie on a server that does
 * not answer (images).
 */
export const nearFiles: Files = {
  stat: (path) => at(() => calls.statusOf(path)),
  lstat: (path) => at(() => calls.linkStatusOf(path)),
  realPath: (path) => at(() => calls.realPath(path)),
  readLink: (path) => at(() => calls.readLink(path)),
  readText: (path, max) =>
    at(() => max === undefined ? calls.readText(path) : calls.readRegular(path, max)),
  readAt: (path, position, length) => at(() => calls.readAt(path, position, length)),
  writeText: (path, text, mode = 0o644) => at(() => calls.writeFile(path, text, mode)),
  makeDirectory: (path, mode = 0o755) => at(() => calls.makeDirectories(path, mode)),
  list: (path, most) => at(() => calls.list(path, most)),
  rename: (from, to) => at(() => calls.rename(from, to)),
  remove: (path) => at(() => remove(path)),
};

/**
 * Removes what is there, but never along with what is mounted there: that may be a guest's disk, or the
 * machine's own files. The table of mounts is asked first, so that nothing is lost before it is seen,
 * and since kernels before 5.8 do not tell of a single directory whether something is mounted on it.
 */
function remove(path: string): void {
  try {
    if (calls.linkStatusOf(path).kind === "directory") checkNothingMounted(path);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return;
    throw error;
  }
  calls.removeAll(path);
}
