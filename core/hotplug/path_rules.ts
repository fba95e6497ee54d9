/**
 * Which scripts may be run: those that nobody but root could have written or put in place.
 *
 * A script finds its helpers beside itself (`. "$(dirname "$0")/block-common.sh"`), so it is run by
 * its name and not by a descriptor; what makes that safe is that every directory on the way is
 * beyond everybody else's reach.
 */
import { coded } from "../messages/table.ts";
import type { Files, FileStatus } from "../../platform/types.ts";

/** Where scripts may be, and whom their files may belong to. */
export interface ScriptPolicy {
  /** Absolute directories; a script lies in one of them or below. */
  readonly directories: readonly string[];
  /** Owners that are trusted: root, and the user that the daemon runs as. */
  readonly trustedUids: readonly number[];
}

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
  if (!await isBelowAny(files, real, directories, refuse)) {
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
  refuse: Refuse,
): Promise<boolean> {
  // What a canonical path begins with is canonical.
  if (directories.some((directory) => directory !== "" && real.startsWith(`${directory}/`))) {
    return true;
  }
  const canonical = await Promise.all(directories.map(async (directory) => {
    try {
      return await files.realPath(directory);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      // What it may be in cannot be asked: others may have it.
      return code === "ENOENT" || code === "ENOTDIR" ? null : new Error(message);
    }
  }));
  if (canonical.some((known) => typeof known === "string" && real.startsWith(`${known}/`))) {
    return true;
  }
  const unknown = canonical.findIndex((known) => known instanceof Error);
  if (unknown < 0) return false;
  const { message } = canonical[unknown] as Error;
  return refuse(
    `cannot be judged: directory ${directories[unknown]} cannot be looked at: ${message}`,
  );
}

/** Says no; `why` completes a sentence that begins with the file. */
type Refuse = (why: string) => never;

const ALL_WRITERS = 0o022;
const STICKY = 0o1000;

/** As many symbolic links as the kernel follows (MAXSYMLINKS, linux/namei.h). */
const LINKS_MAX = 40;

/** The canonical path of a file that has to exist. */
export async function canonicalPath(files: Files, path: string, refuse: Refuse): Promise<string> {
  try {
    return await files.realPath(path);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return refuse("does not exist");
    return refuse(`cannot be looked at: ${(error as Error).message}`);
  }
}

/**
 * Refuses a file that somebody untrusted could have written or put in its place, or beside it.
 * @param real its canonical path
 * @param trustedUids whom it may belong to
 * @returns the file's status; it is a regular file
 */
export async function checkReach(
  files: Files,
  path: string,
  real: string,
  trustedUids: readonly number[],
  refuse: Refuse,
): Promise<FileStatus> {
  const passed = await checkChain(files, path, trustedUids, refuse);
  const statusOf = async (entry: string) => passed.get(entry) ?? await files.stat(entry);
  for (const directory of new Set([directoryOf(path), directoryOf(real)])) {
    const status = await statusOf(directory);
    if ((status.mode & ALL_WRITERS) !== 0) {
      // Sticky or not: anybody could put helpers there.
      refuse(
        `is not safe: its directory ${directory} is writable by others ` +
          `(mode ${octal(status)}; chmod go-w makes it acceptable)`,
      );
    }
  }
  const status = await statusOf(path);
  if (status.kind !== "file") refuse(`is a ${status.kind}, not a regular file`);
  if ((status.mode & ALL_WRITERS) !== 0) {
    refuse(`is writable by others (mode ${octal(status)}; chmod go-w makes it acceptable)`);
  }
  return status;
}

/**
 * What a directory is for:
 * - `state`: nobody else may have a hand in it, or in what is above it.
 * - `pid`: for a file that is opened with care and read by others. It may be sticky.
 * - `log`: for files that are opened with care. Groups may write to it (as to /var/log on Ubuntu):
 *   they could take the log away, and do no other harm.
 */
export type DirectoryUse = "state" | "pid" | "log";

const WRITERS: Readonly<Record<DirectoryUse, number>> = {
  state: ALL_WRITERS,
  pid: ALL_WRITERS,
  log: 0o002,
};

/** Refuses a directory in which somebody untrusted could put things, or that he could replace. */
export async function checkDirectory(
  files: Files,
  path: string,
  trustedUids: readonly number[],
  refuse: Refuse,
  use: DirectoryUse,
): Promise<void> {
  if (use === "state") await checkChain(files, path, trustedUids, refuse);
  const status = await files.stat(path);
  if (status.kind !== "directory") refuse(`is a ${status.kind}, not a directory`);
  checkOwner(status, trustedUids, "", refuse);
  if ((status.mode & WRITERS[use]) === 0) return;
  if (use !== "state" && (status.mode & STICKY) !== 0) return;
  refuse(`is writable by others (mode ${octal(status)}; chmod go-w makes it acceptable)`);
}

/**
 * Everything that is passed on the way from the root to the file, through however many symbolic
 * links, must be out of others' reach.
 * @returns what was passed, by path, without the links
 */
async function checkChain(
  files: Files,
  path: string,
  trustedUids: readonly number[],
  refuse: Refuse,
): Promise<ReadonlyMap<string, FileStatus>> {
  const passed = new Map<string, FileStatus>();
  const check = async (entry: string, isFile: boolean): Promise<FileStatus> => {
    const status = await files.lstat(entry);
    const what = isFile ? "" : `is not safe: its directory ${entry} `;
    checkOwner(status, trustedUids, what, refuse);
    // In a sticky directory nobody can rename or replace what belongs to somebody else.
    const open = (status.mode & ALL_WRITERS) !== 0 && (status.mode & STICKY) === 0;
    if (!isFile && open && status.kind !== "symlink") {
      refuse(
        `${what}is writable by others (mode ${octal(status)}; chmod go-w makes it acceptable)`,
      );
    }
    if (status.kind !== "symlink") passed.set(entry, status);
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
  return passed;
}

/** @param what begins what is said */
function checkOwner(
  { uid }: FileStatus,
  trustedUids: readonly number[],
  what: string,
  refuse: Refuse,
): void {
  if (trustedUids.includes(uid)) return;
  const owners = [...new Set(trustedUids)].map((one) => one === 0 ? "root" : String(one));
  refuse(
    `${what}belongs to uid ${uid}; expected ${owners.join(" or ")} ` +
      `(chown ${owners[0]} makes it acceptable)`,
  );
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** Permission bits for people. */
export function octal(status: FileStatus): string {
  return status.mode.toString(8).padStart(4, "0");
}
