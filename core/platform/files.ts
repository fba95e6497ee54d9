/** The machine's files. */
import { nearFiles } from "./near_files.ts";
import { far } from "./runtime.ts";
import type { Files } from "./types.ts";

export { nearFiles } from "./near_files.ts";

/**
 * What the kernel answers from memory, and Xen's small files and the programs of the root's file
 * system. There a thread, or process, of its own costs many times the answer.
 */
function isNear(path: string): boolean {
  return /^\/(sys\/(block|bus|class|dev)|proc\/(self|partitions|swaps)|dev|etc\/xen|(usr\/)?s?bin)(\/|$)/
    .test(path);
}

function filesOf(path: string): Files {
  return isNear(path) ? nearFiles : far.files;
}

/** Whatever the path: what may lie far is asked for without waiting in place. */
export const systemFiles: Files = {
  ...far.files,
  stat: (path) => filesOf(path).stat(path),
  realPath: (path) => filesOf(path).realPath(path),
  readText: (path) => filesOf(path).readText(path),
  list: (path) => filesOf(path).list(path),
};
