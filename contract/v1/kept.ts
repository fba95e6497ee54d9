/** The plugin contract, version 1: what a plugin keeps beyond the life of any device. Only types. */

/**
 * Directories of a plugin's own, below `/var/lib/xdevd/PLUGIN`: what is in them outlives devices and
 * restarts of the machine, and nothing of it is ever removed but by {@link KeptDirectories.remove}. A
 * directory may be handed to the user of a program that works in it: whatever lies there may then be that
 * user's doing, so no link is followed, and only files of the daemon's own are taken for its own.
 *
 * Names of directories have letters, digits and `-`, at most 64; those of files `.` and `_` too. Every
 * method throws an Error with the operating system's `code`.
 */
export interface KeptDirectories {
  /** Names of those that there are, in no order. */
  list(): Promise<readonly string[]>;
  /**
   * Makes one, mode 0700, with these files: it is there whole, or not at all.
   * @throws Error EEXIST, EROFS, …
   */
  create(name: string, files: Readonly<Record<string, string>>): Promise<void>;
  /** The path of one; undefined when there is none. */
  path(name: string): Promise<string | undefined>;
  /** Names of what is in one. @throws Error EFBIG when they are more than 1024 */
  files(name: string): Promise<readonly string[]>;
  /**
   * The text of a file that the daemon has written; undefined when there is none.
   * @throws Error EPERM for a file that somebody else has made, EFBIG beyond 64 KiB
   */
  read(name: string, file: string): Promise<string | undefined>;
  /** The last 4 KiB of a regular file, whoever has written it; undefined when there is none. */
  tail(name: string, file: string): Promise<string | undefined>;
  /** Replaces a file, mode 0600: it is there whole, or as it was. */
  write(name: string, file: string, text: string): Promise<void>;
  /** Removes a file or socket; nothing is no error. */
  remove(name: string, file: string): Promise<void>;
  /**
   * Gives a directory to a user, with those of these files that there are; the others stay whose they are.
   * @param user by name, or a number
   * @throws Error ENOENT when there is no user of that name, EPERM for what is no regular file of one name
   */
  hand(name: string, user: string, files: readonly string[]): Promise<void>;
  /**
   * Claims a directory for this device, until {@link KeptDirectories.release}; a restart of the machine ends
   * every claim.
   * @param instead takes it away from this holder, of whom the caller knows that he is gone
   * @returns who has it already, such as `vtpm/7/0`; undefined when it is this device's now
   * @throws Error EBUSY while a command works on it
   */
  claim(name: string, instead?: string): Promise<string | undefined>;
  /** Ends this device's claim; no claim, or somebody else's, is no error. */
  release(name: string): Promise<void>;
}
