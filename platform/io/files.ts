/** The machine's files. */
import { nearFiles } from "./near_files.ts";
import { storage } from "../storage.ts";
import type { Files } from "../types.ts";

/** The program's own: what lies where it does itself, or where whoever calls it says. At once. */
export { nearFiles, nearFiles as systemFiles } from "./near_files.ts";

/** What the kernel answers from memory, and the root's own settings and programs. */
const NEAR =
  /^\/($|usr$|proc\/(partitions|swaps|self\/mountinfo)$|(sys\/(block|bus|class|dev)|etc|(usr\/)?(s?bin|lib|lib64|libexec))(\/|$))/;

/** One step up stays in sysfs, whose links all lead into it; more may lead anywhere. */
const LEADS_AWAY = /(^|\/)\.\.(\/.*)?\/\.\.(\/|$)/;

/** Whether a path leads nowhere but there, where a process of its own costs many times the answer. */
export function isNear(path: string): boolean {
  if (!NEAR.test(path) || LEADS_AWAY.test(path)) return false;
  return path.startsWith("/sys/") || !/(^|\/)\.\.(\/|$)/.test(path);
}

/**
 * What a target names, wherever that lies: what may lie far is asked for by somebody else.
 * @param own canonical directories of the daemon's own, such as those of scripts: they lie near, too
 */
export function targetFilesBeside(own: readonly string[]): Files {
  const isOwn = (path: string) =>
    !/(^|\/)\.\.(\/|$)/.test(path) &&
    own.some((directory) =>
      `${directory}/`.startsWith(`${path}/`) || path.startsWith(`${directory}/`)
    );
  const filesOf = (path: string) => isNear(path) || isOwn(path) ? nearFiles : storage.files;
  return {
    ...storage.files,
    stat: (path) => filesOf(path).stat(path),
    lstat: (path) => filesOf(path).lstat(path),
    readLink: (path) => filesOf(path).readLink(path),
    realPath: (path) => filesOf(path).realPath(path),
    readText: (path, max) => filesOf(path).readText(path, max),
    readAt: (path, position, length) => filesOf(path).readAt(path, position, length),
    list: (path, most) => filesOf(path).list(path, most),
  };
}

/** The same, where nothing more is known. */
export const targetFiles: Files = targetFilesBeside([]);
