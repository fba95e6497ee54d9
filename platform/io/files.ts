/** The machine's files. */
import { nearFiles } from "./near_files.ts";
import { far } from "../storage.ts";
import type { Files } from "../types.ts";

/** The program's own: what lies where it does itself, or where whoever calls it says. At once. */
export { nearFiles, nearFiles as systemFiles } from "./near_files.ts";

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

/** What a target names, wherever that lies: what may lie far is not waited for in place. */
export const targetFiles: Files = {
  ...far.files,
  stat: (path) => filesOf(path).stat(path),
  realPath: (path) => filesOf(path).realPath(path),
  readText: (path, max) => filesOf(path).readText(path, max),
  list: (path, most) => filesOf(path).list(path, most),
};
