/** The mounts that this process sees, and undoing them. */
import { pathBytes, readText, realPath } from "../io/file_calls.ts";
import { sys } from "../kernel.ts";
import { systemError } from "../system_error.ts";

export interface MountEntry {
  /** The kernel's number of it; given out again only when it is gone. */
  readonly id: number;
  /** `major:minor` of what its files are on (their st_dev); made up where no block device is: `0:45`. */
  readonly device: string;
  readonly point: string;
  /** What is mounted: a device, or what the file system calls itself. */
  readonly source: string;
  /** `ext4`, `tmpfs` and so on. */
  readonly type: string;
}

// linux/mount.h, fcntl.h
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/** All mounts, the latest last. @throws SystemError without /proc: nobody knows then */
export function readMountTable(): MountEntry[] {
  return parseMountTable(readText("/proc/self/mountinfo"));
}

/** The mount that a path without links is on. */
export function mountOf(mounts: readonly MountEntry[], path: string): MountEntry | undefined {
  let found: MountEntry | undefined;
  for (const mount of mounts) {
    const isOn = mount.point === "/" || path === mount.point || path.startsWith(`${mount.point}/`);
    // Of two at the same place the later one covers the other.
    if (isOn && (found === undefined || mount.point.length >= found.point.length)) found = mount;
  }
  return found;
}

/** File systems whose files have another device number than their mount: one of each subvolume or layer. */
const INNER_DEVICES = /^(bcachefs|btrfs|overlay|zfs)$/;

/**
 * Whether a file with this device number (`major:minor` of its st_dev) may be on a mount. What has a number
 * that was made up is never on a block device.
 */
export function mayHold({ device, type }: MountEntry, number: string): boolean {
  return device === number || number.startsWith("0:") && INNER_DEVICES.test(type);
}

/**
 * What is mounted at a directory or below it; a symbolic link is no such directory. To be asked before
 * anything is removed with all that is in it.
 * @throws SystemError when that cannot be found out
 */
export function mountsWithin(directory: string): MountEntry[] {
  // As the kernel writes it, but for the last name, which may be a link.
  const slash = directory.replace(/\/+$/, "").lastIndexOf("/");
  const above = realPath(slash < 0 ? "." : directory.slice(0, slash) || "/");
  const canonical = `${above === "/" ? "" : above}/${
    directory.slice(slash + 1).replace(/\/+$/, "")
  }`;
  return readMountTable().filter(({ point }) =>
    point === canonical || point.startsWith(`${canonical === "/" ? "" : canonical}/`)
  );
}

/**
 * To be called before a directory is removed with all that is in it: what is mounted there may be a
 * guest's disk, or the machine's own files.
 * @throws SystemError `EBUSY` when something is mounted at it or below it
 */
export function checkNothingMounted(directory: string): void {
  const [mounted] = mountsWithin(directory);
  if (mounted === undefined) return;
  const { type, source, point } = mounted;
  throw systemError(
    "EBUSY",
    `${directory} is not removed: ${type} ${source} is mounted at ${point}`,
  );
}

/** Reads what /proc/PID/mountinfo says (proc(5)). Pure. */
export function parseMountTable(text: string): MountEntry[] {
  const mounts: MountEntry[] = [];
  for (const line of text.split("\n")) {
    const [own = "", file = ""] = line.split(" - ");
    const [id = "", , device = "", , point] = own.split(" ");
    const [type = "", source = ""] = file.split(" ");
    if (point !== undefined) {
      mounts.push({
        id: Number(id),
        device,
        point: unescape(point),
        source: unescape(source),
        type,
      });
    }
  }
  return mounts;
}

/**
 * Takes mounts away, the latest first, also while they are in use.
 * @returns those that are left
 */
export function unmountAll(mounts: readonly MountEntry[]): MountEntry[] {
  if (mounts.length === 0) return [];
  for (const { point } of [...mounts].reverse()) {
    sys.unmount(pathBytes(point), MNT_DETACH | UMOUNT_NOFOLLOW);
  }
  const left = new Set(readMountTable().map(({ id }) => id));
  return mounts.filter(({ id }) => left.has(id));
}

/** Blanks and the like are written as three octal digits. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)));
}
