/**
 * Which scripts may be run: those that nobody but root could have written or put in place.
 *
 * A script finds its helpers beside itself (`. "$(dirname "$0")/block-common.sh"`), so it is run by
 * its name and not by a descriptor; what makes that safe is that every directory on the way is
 * beyond everybody else's reach.
 */
import { coded } from "../messages/table.ts";
import type { Files } from "../../platform/types.ts";
import { canonicalPath, checkReach, octal } from "./reach.ts";

/** Where scripts may be, and whom their files may belong to. */
export interface ScriptPolicy {
  /** Absolute directories; a script lies in one of them or below. */
  readonly directories: readonly string[];
  /** Owners that are trusted: root, and the user that the daemon runs as. */
  readonly trustedUids: readonly number[];
}

/** Debian's, and every other distribution's, script directory. */
export const DEFAULT_SCRIPT_DIRECTORY = "/etc/xen/scripts";

/** A script will not be run; the message says which and why, in one line. */
export class ScriptRefused extends Error {
  override name = "ScriptRefused";
}

/** Longest accepted script path, in bytes; a backend node holds at most 2048. */
const PATH_MAX = 1024;

/**
 * Checks a script named by a backend directory and returns the path to run: the name as given, or,
 * for a name without a slash, that name in the first allowed directory.
 * @throws ScriptRefused
 */
export async function checkScript(
  files: Files,
  name: string,
  policy: ScriptPolicy,
): Promise<string> {
  const shown = JSON.stringify(name.slice(0, 200));
  const refuse = (why: string): never => {
    throw new ScriptRefused(coded("script-refused", `script ${shown} ${why}`));
  };
  const { directories } = policy;
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(name)) refuse("has control characters in its name");
  if (name === "") refuse("has no name: the node is empty");
  if (name.length > PATH_MAX) refuse(`has a name longer than ${PATH_MAX} bytes`);
  const path = name.includes("/") ? name : `${directories[0] ?? ""}/${name}`;
  if (!path.startsWith("/")) {
    refuse(`is not an absolute path; expected one, or a name in ${directories[0] ?? ""}`);
  }
  if (path.split("/").includes("..")) refuse("has a .. in its path");

  const real = await canonicalPath(files, path, (why) =>
    // A bare name says nothing of where it was looked for.
    refuse(path === name ? why : `${why}: looked for ${path}`));
  if (!await isBelowAny(files, real, directories)) {
    const target = real === path ? "" : ` (it is ${real})`;
    const allowed = [...directories, real.slice(0, real.lastIndexOf("/")) || "/"];
    refuse(
      `is outside the allowed ${directories.length === 1 ? "directory" : "directories"} ` +
        `${directories.join(", ")}${target}: options ${
          allowed.map((directory) => `--scripts ${directory}`).join(" ")
        } of the daemon would allow it`,
    );
  }
  const status = await checkReach(files, path, real, policy.trustedUids, refuse);
  if ((status.mode & 0o111) === 0) {
    refuse(`is not executable (mode ${octal(status)}): chmod +x makes it so`);
  }
  return path;
}

/** Whether a canonical path leads below one of some directories, whose own may be links. */
async function isBelowAny(
  files: Files,
  real: string,
  directories: readonly string[],
): Promise<boolean> {
  // What a canonical path begins with is canonical.
  if (directories.some((directory) => directory !== "" && real.startsWith(`${directory}/`))) {
    return true;
  }
  const canonical = await Promise.all(
    directories.map((directory) => files.realPath(directory).catch(() => null)),
  );
  return canonical.some((directory) => directory !== null && real.startsWith(`${directory}/`));
}
