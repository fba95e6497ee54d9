/** `node:path`, `node:fs`, `node:child_process`: what the command line's library names and we do not use. */
function unused(): never {
  throw new Error("this is not there in the small binary");
}

export const basename = (path: string, end = ""): string =>
  path.slice(path.lastIndexOf("/") + 1).replace(end, "");
export const dirname = unused;
export const extname = (path: string): string => /\.[^./]*$/.exec(path)?.[0] ?? "";
export const isAbsolute = (path: string): boolean => path.startsWith("/");
export const resolve = unused;
export const existsSync = unused;
export const realpathSync = unused;
export const spawn = unused;
export default { basename, dirname, extname, isAbsolute, resolve, existsSync, realpathSync, spawn };
