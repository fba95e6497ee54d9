/**
 * Finding the store as libxenstore does (tools/libs/store/xs.c): environment first, then the
 * socket, then the device.
 */
import type { Files } from "../../platform/types.ts";
import { ConnectionError } from "./errors.ts";

/** Where a store can be reached. */
export interface StoreLocation {
  readonly kind: "socket" | "device";
  readonly path: string;
}

/** Debian's run directory of xenstored. */
export const DEFAULT_RUNDIR = "/run/xenstored";

const DEVICES = ["/dev/xen/xenbus", "/proc/xen/xenbus"] as const;

/** Variables that name the store: libxenstore's own. */
export interface StoreEnvironment {
  readonly XENSTORED_PATH?: string | undefined;
  readonly XENSTORED_RUNDIR?: string | undefined;
}

/** The candidates in order: an explicit or environment path is the one and only. */
export function storeCandidates(environment: StoreEnvironment, explicit?: string): string[] {
  const only = explicit ?? environment.XENSTORED_PATH;
  if (only !== undefined) return [only];
  return [`${environment.XENSTORED_RUNDIR ?? DEFAULT_RUNDIR}/socket`, ...DEVICES];
}

/**
 * Picks the first candidate that exists; a socket inode is a socket, anything else a device.
 * @throws ConnectionError that names every place looked at
 */
export async function locateStore(
  files: Pick<Files, "stat">,
  environment: StoreEnvironment,
  explicit?: string,
): Promise<StoreLocation> {
  const candidates = storeCandidates(environment, explicit);
  const hidden: string[] = [];
  for (const path of candidates) {
    try {
      const status = await files.stat(path);
      if (status.kind === "directory" || status.kind === "file") {
        throw new ConnectionError(`${path} is a ${status.kind}; expected a socket or a device`);
      }
      return { kind: status.kind === "socket" ? "socket" : "device", path };
    } catch (error) {
      if (error instanceof ConnectionError) throw error;
      const { code = "EIO", message } = error as { code?: string; message: string };
      if (code === "EACCES") hidden.push(path);
      else if (code !== "ENOENT" && code !== "ENOTDIR") {
        throw new ConnectionError(`cannot look for the store at ${path}: ${message}`, code);
      }
    }
  }
  if (hidden.length > 0) {
    throw new ConnectionError(
      `cannot look for the store at ${hidden.join(", ")}: permission denied; are you root?`,
      "EACCES",
    );
  }
  throw new ConnectionError(
    `no xenstore here: ${candidates.join(", ")} ${
      candidates.length === 1 ? "does not exist" : "do not exist"
    }; is this a Xen domain, and is xenstored running? (--store PATH names another place)`,
    "ENOENT",
  );
}

/**
 * The variables that scripts need to reach the same store with Debian's tools; none when they
 * would find it by themselves.
 */
export function storeEnvironment(location: StoreLocation): Record<string, string> {
  if (location.path === `${DEFAULT_RUNDIR}/socket` || location.path === DEVICES[0]) return {};
  const slash = location.path.lastIndexOf("/");
  return {
    XENSTORED_PATH: location.path,
    ...(location.kind === "socket" ? { XENSTORED_RUNDIR: location.path.slice(0, slash) } : {}),
  };
}
