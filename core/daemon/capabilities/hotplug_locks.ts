/**
 * One at a time for a device's version 2 script: the daemon and the commands are different
 * processes. A lock ends with the process that holds it.
 */
import { type DeviceId, deviceName } from "../../xen/device_id.ts";
import type { LockedFile } from "../../../platform/io/flock.ts";
import type { Clock, Files } from "../../../platform/types.ts";

/** How often a lock is tried that somebody else holds, in ms: nothing tells when it is free. */
const POLL_MS = 20;

/** Creates a file and locks it; null when somebody else has. @throws SystemError */
export type LockFile = (path: string, mode: number) => Promise<LockedFile | null>;

/** Locks of devices, as files. */
export class HotplugLocks {
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #directory: string;
  readonly #lockFile: LockFile;

  /** @param directory absolute; made when it is first needed */
  constructor(files: Files, clock: Clock, directory: string, lockFile: LockFile) {
    this.#files = files;
    this.#clock = clock;
    this.#directory = directory;
    this.#lockFile = lockFile;
  }

  /**
   * Runs `work` with the device's lock held.
   * @throws the signal's reason when it fires while waiting; what `work` throws
   */
  async run<T>(id: DeviceId, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#files.makeDirectory(this.#directory, 0o700);
    const path = `${this.#directory}/${deviceName(id).replaceAll("/", "-")}.lock`;
    for (;;) {
      signal.throwIfAborted();
      const lock = await this.#lockFile(path, 0o600);
      if (lock !== null) {
        try {
          return await work();
        } finally {
          lock.remove();
        }
      }
      await new Promise<void>((resolve) => this.#clock.after(POLL_MS, resolve));
    }
  }
}

/** Where the locks of a driver domain are. @param runDirectory of the daemon */
export function lockDirectory(runDirectory: string, domid: number): string {
  return `${runDirectory}/hotplug-${domid}`;
}
