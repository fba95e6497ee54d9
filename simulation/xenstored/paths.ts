/** Which paths the server takes (C: `is_valid_nodename`). */
import { absolutePath, domainPath, pathFault } from "../../core/xenstore/paths.ts";
import { require } from "./failure.ts";

/**
 * The absolute path that a caller means; relative ones stand below its home.
 * @param limit longest path in bytes, not counting `/local/domain/N/`; 0 for any length
 * @throws Failure EINVAL
 */
export function canonicalPath(text: string, domid: number, limit: number): string {
  // Nothing at all is no relative path either.
  require(text !== "", "EINVAL");
  const path = absolutePath(text, domainPath(domid));
  const home = /^\/local\/domain\/\d+\//.exec(path)?.[0].length ?? 0;
  require(limit === 0 || path.length - home <= limit, "EINVAL");
  require(pathFault(path) === null, "EINVAL");
  return path;
}
