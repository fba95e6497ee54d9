/** The machine's files. */
import { nearFiles } from "./near_files.ts";
import { storage } from "../storage.ts";
import type { Files } from "../types.ts";

/** The program's own: what lies where it does itself, or where whoever calls it says. At once. */
export { nearFiles, nearFiles as systemFiles } from "./near_files.ts";

/** What the kernel answers from memory, and the root's own settings and programs. */
const NEAR =
  /^\/(sys\/(block|bus|class|dev)\/|proc\/(partitions|swaps|self\/mountinfo)$|etc\/|(usr\/)?(s?bin|lib|lib64|libexec)\/)/;

/** One step up stays in sysfs, whose links all lead into it; more may lead anywhere. */
const LEADS_AWAY = /(^|\/)\.\.(\/.*)?\/\.\.(\/|$)/;

/** Whether a path leads nowhere but there, where a process of its own costs many times the answer. */
export function isNear(path: string): boolean {
  if (!NEAR.test(path) || LEADS_AWAY.test(path)) return false;
  return path.startsWith("/sys/") || !/(^|\/)\.\.(\/|$)/.test(path);
}

function filesOf(path: string): Files {
  return isNear(path) ? nearFiles : storage.files;
}

/** What a target names, wherever that lies: what may lie far is asked for by somebody else. */
export const targetFiles: Files = {
  ...storage.files,
  stat: (path) => filesOf(path).stat(path),
  realPath: (path) => filesOf(path).realPath(path),
  readText: (path, max) => filesOf(path).readText(path, max),
  list: (path, most) => filesOf(path).list(path, most),
};
