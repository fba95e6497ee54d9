/**
 * Path syntax (docs/misc/xenstore.txt in the Xen sources). Pure.
 */
import { ArgumentError } from "./errors.ts";

/** Longest absolute path, in bytes (XENSTORE_ABS_PATH_MAX, xs_wire.h). */
export const ABSOLUTE_PATH_MAX = 3072;
/** Longest relative path, in bytes (XENSTORE_REL_PATH_MAX, xs_wire.h); C enforces it for guests. */
export const RELATIVE_PATH_MAX = 2048;

const allowed = /^[A-Za-z0-9\-/_@]+$/;
/** What most paths are, found right in one go. */
const ordinary = /^(?:\/[A-Za-z0-9\-_@]+)+$/;

/** Why a path is malformed, or null when it is fine. Special (`@…`) paths are fine if allowed. */
export function pathFault(path: string, special = false): string | null {
  if (path.length <= ABSOLUTE_PATH_MAX && ordinary.test(path)) return null;
  if (path === "") return "it is empty";
  if (!allowed.test(path)) return "only A-Z a-z 0-9 - / _ @ are allowed";
  if (path.startsWith("@")) return special ? null : "a special path is not allowed here";
  if (path.includes("//")) return "it has an empty component";
  if (path !== "/" && path.endsWith("/")) return "it ends in /";
  const limit = path.startsWith("/") ? ABSOLUTE_PATH_MAX : RELATIVE_PATH_MAX;
  if (path.length > limit) return `it is longer than ${limit} bytes`;
  return null;
}

/** @throws ArgumentError when a path cannot be sent to a store */
export function checkPath(path: string, special = false): void {
  const fault = pathFault(path, special);
  if (fault !== null) throw new ArgumentError(`invalid path ${JSON.stringify(path)}: ${fault}`);
}

/** Makes a path absolute: a relative one stands below the home of a domain. */
export function absolutePath(path: string, home: string): string {
  return path.startsWith("/") || path.startsWith("@") ? path : `${home}/${path}`;
}

/** Home directory of a domain, against which its relative paths resolve. */
export function domainPath(domid: number): string {
  return `/local/domain/${domid}`;
}

/** The parent of an absolute path; of `/` it is null. */
export function parentPath(path: string): string | null {
  if (path === "/") return null;
  const slash = path.lastIndexOf("/");
  return slash === 0 ? "/" : path.slice(0, slash);
}

/** The last component of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Appends a component (or several) to a directory. */
export function joinPath(directory: string, name: string): string {
  return directory === "/" ? `/${name}` : `${directory}/${name}`;
}

/** Whether `path` is `ancestor` or lies below it. */
export function isWithin(path: string, ancestor: string): boolean {
  return ancestor === "/" ? path.startsWith("/") : path === ancestor ||
    path.startsWith(ancestor + "/");
}
