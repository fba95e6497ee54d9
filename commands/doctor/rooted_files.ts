/** The files of another root: of an image that is mounted somewhere, say. */
import { systemError } from "../../platform/system_error.ts";
import type { Files } from "../../platform/types.ts";

/** As many symbolic links as the kernel follows (MAXSYMLINKS, linux/namei.h). */
const LINKS_MAX = 40;

/**
 * The files below a directory, seen as if that were the root: no link leads out of it. For looking only.
 * @param root absolute, or empty for the files as they are
 */
export function rootedFiles(files: Files, root: string): Files {
  if (root === "") return files;
  /** Where a path leads, seen from the root, and without links. */
  const canonical = async (path: string): Promise<string> => {
    const left = namesOf(path);
    let at: string[] = [];
    for (let links = 0; left.length > 0;) {
      const name = left.shift()!;
      if (name === "..") {
        at.pop();
        continue;
      }
      const entry = `/${[...at, name].join("/")}`;
      if ((await files.lstat(root + entry)).kind !== "symlink") {
        at.push(name);
        continue;
      }
      if (++links > LINKS_MAX) throw systemError("ELOOP", `ELOOP: too many links: ${path}`);
      const target = await files.readLink(root + entry);
      if (target.startsWith("/")) at = [];
      left.unshift(...namesOf(target));
    }
    return `/${at.join("/")}`;
  };
  const within = async (path: string) => root + await canonical(path);
  /** All but the last name. */
  const beside = async (path: string) => {
    const names = namesOf(path);
    const last = names.pop();
    const directory = await canonical(`/${names.join("/")}`);
    return last === undefined ? root : `${root}${directory === "/" ? "" : directory}/${last}`;
  };
  return {
    ...files,
    stat: async (path) => await files.stat(await within(path)),
    lstat: async (path) => await files.lstat(await beside(path)),
    realPath: canonical,
    readLink: async (path) => await files.readLink(await beside(path)),
    readText: async (path, max) => await files.readText(await within(path), max),
    readAt: async (path, at, length) => await files.readAt(await within(path), at, length),
    list: async (path, most) => await files.list(await within(path), most),
    writeText: async (path, text, mode) => await files.writeText(await beside(path), text, mode),
    remove: async (path) => await files.remove(await beside(path)),
  };
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}
