/** Where a daemon keeps its files, and whether nobody else has a hand in it. */
import { checkDirectory, type DirectoryUse } from "../../core/hotplug/path_rules.ts";
import { type LockedFile, lockFile } from "../../platform/io/flock.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { UnsafeFile } from "../../platform/io/own_file.ts";
import { effectiveUid } from "../../platform/self.ts";
import { CodedError } from "../../core/messages/error.ts";

/** What is said beside a place that cannot be used. */
const OTHER_RUN_DIRECTORY = "--run-dir DIR names another place";
const OTHER_PID_FILE = "--pidfile FILE names another";

/**
 * Makes the run directory if there is none.
 * @throws CodedError `UnsafePlace` when others may change what is in it
 */
export async function prepareRunDirectory(directory: string): Promise<void> {
  await prepareDirectory("run directory", directory, 0o755, OTHER_RUN_DIRECTORY);
}

/**
 * Makes a directory for a server's sockets if there is none.
 * @throws CodedError `UnsafePlace` when others could put theirs there
 */
export async function prepareSocketDirectory(directory: string): Promise<void> {
  await prepareDirectory("directory", directory, 0o700, "--dir DIR names another place");
}

async function prepareDirectory(
  what: string,
  directory: string,
  mode: number,
  hint: string,
): Promise<void> {
  await makeDirectory(directory, hint, mode);
  await check(directory, "state", (why) => {
    const said = why.startsWith("is not safe: ") ? why : `is not safe: it ${why}`;
    throw unsafe(`${what} ${directory} ${said} (${hint})`);
  });
}

/** Locks a file of the run directory; null when somebody else holds it. @throws CodedError */
export function lockInRunDirectory(path: string): Promise<LockedFile | null> {
  return lock(path, OTHER_RUN_DIRECTORY);
}

/** Makes and locks the pid file; null when somebody else holds it. @throws CodedError */
export async function lockPidFile(path: string): Promise<LockedFile | null> {
  const directory = directoryOf(path);
  await makeDirectory(directory, OTHER_PID_FILE);
  await check(directory, "pid", (why) => {
    throw unsafe(
      `pid file ${path} is not safe: its directory ${directory} ${why} (${OTHER_PID_FILE})`,
    );
  });
  return await lock(path, OTHER_PID_FILE);
}

/**
 * Makes the log's directory if there is none.
 * @throws UnsafeFile when others may take away what is in it; SystemError
 */
export async function prepareLogDirectory(log: string): Promise<void> {
  const directory = directoryOf(log);
  await systemFiles.makeDirectory(directory);
  await check(directory, "log", (why) => {
    throw new UnsafeFile(`its directory ${directory} ${why}`);
  });
}

function check(
  directory: string,
  use: DirectoryUse,
  refuse: (why: string) => never,
): Promise<void> {
  return checkDirectory(systemFiles, directory, [0, effectiveUid()], refuse, use);
}

async function makeDirectory(directory: string, hint: string, mode?: number): Promise<void> {
  try {
    await systemFiles.makeDirectory(directory, mode);
  } catch (error) {
    throw new CodedError(
      "failed",
      `cannot make ${directory}: ${(error as Error).message} (${hint})`,
    );
  }
}

async function lock(path: string, hint: string): Promise<LockedFile | null> {
  try {
    return await lockFile(path, 0o600);
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof UnsafeFile) throw unsafe(`${message} (${hint})`);
    throw new CodedError("failed", `cannot make ${path}: ${message} (${hint})`);
  }
}

function unsafe(message: string): CodedError {
  return new CodedError("unsafe-place", message);
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
