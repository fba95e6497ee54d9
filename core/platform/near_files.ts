/** Files that lie near: the kernel's, the root's, the daemon's own. All is answered at once. */
import * as calls from "./io/file_calls.ts";
import type { Files } from "./types.ts";

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
  readText: (path) => at(() => calls.readText(path)),
  readAt: (path, position, length) => at(() => calls.readAt(path, position, length)),
  writeText: (path, text, mode = 0o644) => at(() => calls.writeFile(path, text, mode)),
  makeDirectory: (path, mode = 0o755) => at(() => calls.makeDirectories(path, mode)),
  list: (path) => at(() => calls.list(path)),
  rename: (from, to) => at(() => calls.rename(from, to)),
  remove: (path) => at(() => calls.removeAll(path)),
};
