/**
 * Which scripts may be run: those that nobody but root could have written or put in place.
 *
 * A script finds its helpers beside itself (`. "$(dirname "$0")/block-common.sh"`), so it is run by
 * its name and not by a descriptor; what makes that safe is that every directory on the way is
 * beyond everybody else's reach.
 */
import type { Files, FileStatus } from "../platform/types.ts";

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

const ALL_WRITERS = 0o022;
const STICKY = 0o1000;

/** As many symbolic links as the kernel follows (MAXSYMLINKS, linux/namei.h). */
const LINKS_MAX = 40;

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
    throw new ScriptRefused(`script ${shown} ${why}`);
  };
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(name)) refuse("has control characters in its name");
  if (name === "") refuse("has no name: the node is empty");
  if (name.length > PATH_MAX) refuse(`has a name longer than ${PATH_MAX} bytes`);
  const path = name.includes("/") ? name : `${policy.directories[0] ?? ""}/${name}`;
  if (!path.startsWith("/")) refuse("is not an absolute path");
  if (path.split("/").includes("..")) refuse("has a .. in its path");

  const real = await resolve(files, path, refuse);
  const allowed = await Promise.all(
    policy.directories.map((directory) => files.realPath(directory).catch(() => null)),
  );
  if (!allowed.some((directory) => directory !== null && real.startsWith(`${directory}/`))) {
    refuse(
      `is outside the allowed ${policy.directories.length === 1 ? "directory" : "directories"} ` +
        policy.directories.join(", "),
    );
  }
  await checkChain(files, path, policy, refuse);
  for (const directory of new Set([directoryOf(path), directoryOf(real)])) {
    const status = await files.stat(directory);
    if ((status.mode & ALL_WRITERS) !== 0) {
      // Sticky or not: anybody could put helpers there.
      refuse(
        `is not safe: its directory ${directory} is writable by others (mode ${octal(status)})`,
      );
    }
  }

  const status = await files.stat(path);
  if (status.kind !== "file") refuse(`is a ${status.kind}, not a regular file`);
  if ((status.mode & ALL_WRITERS) !== 0) {
    refuse(`is writable by others (mode ${octal(status)}; chmod go-w makes it acceptable)`);
  }
  if ((status.mode & 0o111) === 0) refuse(`is not executable (mode ${octal(status)})`);
  return path;
}

async function resolve(
  files: Files,
  path: string,
  refuse: (why: string) => never,
): Promise<string> {
  try {
    return await files.realPath(path);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return refuse("does not exist");
    return refuse(`cannot be looked at: ${(error as Error).message}`);
  }
}

/**
 * Everything that is passed on the way from the root to the script, through however many symbolic
 * links, must be out of others' reach.
 */
async function checkChain(
  files: Files,
  path: string,
  policy: ScriptPolicy,
  refuse: (why: string) => never,
): Promise<void> {
  const check = async (entry: string, isScript: boolean): Promise<FileStatus> => {
    const status = await files.lstat(entry);
    const what = isScript ? "" : `is not safe: its directory ${entry} `;
    if (!policy.trustedUids.includes(status.uid)) {
      refuse(`${what}belongs to uid ${status.uid}${isScript ? ", not to root" : ""}`);
    }
    // In a sticky directory nobody can rename or replace what belongs to somebody else.
    const open = (status.mode & ALL_WRITERS) !== 0 && (status.mode & STICKY) === 0;
    if (!isScript && open && status.kind !== "symlink") {
      refuse(`${what}is writable by others (mode ${octal(status)})`);
    }
    return status;
  };
  const left = namesOf(path);
  let at: string[] = [];
  await check("/", false);
  for (let links = 0; left.length > 0;) {
    const name = left.shift()!;
    if (name === "..") {
      at.pop();
      continue;
    }
    const entry = `/${[...at, name].join("/")}`;
    if ((await check(entry, left.length === 0)).kind !== "symlink") {
      at.push(name);
      continue;
    }
    if (++links > LINKS_MAX) refuse("is behind too many symbolic links");
    const target = await files.readLink(entry);
    if (target.startsWith("/")) at = [];
    left.unshift(...namesOf(target));
  }
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function octal(status: FileStatus): string {
  return status.mode.toString(8).padStart(4, "0");
}
