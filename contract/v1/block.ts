/**
 * Block devices and loop devices, as a capability for plugins. Only types.
 *
 * All of it is plain data and promises, so that it can cross a process boundary. Everything rejects
 * with an Error that has a symbolic `code` (`ENOENT`, `EBUSY`, …) and one line of text.
 */

/**
 * What tells a file or block device from all others, whatever it is called: `<st_dev>:<st_ino>` of a
 * file, `block <st_rdev>` of a block device, in decimal. The same as `DeviceSystem.identityOf`.
 */
export type StorageIdentity = string;

/** What a path leads to. */
export interface StorageTarget {
  /** The canonical path: absolute, no symbolic link, `.` or `..` left. */
  readonly path: string;
  readonly kind: "file" | "block" | "directory" | "other";
  readonly identity: StorageIdentity;
  /** In bytes, 0 … 2^53 - 1; 0 for what is neither file nor block device. */
  readonly size: number;
  /**
   * Of a block device, the kernel's flag; of a file, whether nobody has write permission or it
   * cannot be written (read-only file system, immutable).
   */
  readonly readOnly: boolean;
  /** Only of block devices: 0 … 4095. */
  readonly major?: number;
  /** Only of block devices: 0 … 1048575. */
  readonly minor?: number;
  /**
   * Only of block devices, Linux 5.15 and later: number of the disk's present use. It is not given
   * out again until the machine reboots, unlike device numbers and names.
   */
  readonly diskseq?: number;
  /** Only of a loop device that carries a whole file: which. */
  readonly carries?: StorageIdentity;
}

/** A loop device that is attached to a file. */
export interface LoopDevice {
  /** `/dev/loop0` and so on. */
  readonly node: string;
  /** `block <st_rdev>`. */
  readonly identity: StorageIdentity;
  /** 7 (linux/major.h, LOOP_MAJOR). */
  readonly major: number;
  /** 0 … 1048575. */
  readonly minor: number;
  /** The file behind it. */
  readonly file: StorageIdentity;
  /** The name it was given: {@link LoopRequest.tag}, or, by `losetup`, the path of the file. */
  readonly tag: string;
  /** As {@link StorageTarget.diskseq}. */
  readonly diskseq?: number;
  readonly readOnly: boolean;
}

/** What to attach, and how. */
export interface LoopRequest {
  /** Canonical path of a regular file; a symbolic link in its place is refused (`ELOOP`). */
  readonly path: string;
  /** What `describe` said of it. */
  readonly expectIdentity: StorageIdentity;
  readonly readOnly: boolean;
  /**
   * A name that no other attach ever has: 1 … 63 printable ASCII characters. The kernel keeps it
   * with the loop device from the same instant on that the device is attached. Who records it
   * beforehand will find the device again even if it is killed before it learns the number.
   */
  readonly tag: string;
  /** Bypasses the page cache where file and file system can do so; default false. */
  readonly directIo?: boolean;
}

/** What a loop device has to be, to be detached. */
export interface LoopUse {
  readonly tag: string;
  readonly file: StorageIdentity;
  /** Not compared when absent or when the kernel has none. */
  readonly diskseq?: number;
}

/**
 * How a detaching ended: `pending` when somebody has the device open (the kernel detaches it when
 * that ends), `absent` when it was not attached, `foreign` when it is somebody else's (it is then
 * left alone).
 */
export type LoopDetached = "detached" | "pending" | "absent" | "foreign";

/** Which loop devices are meant. */
export interface LoopBounds {
  readonly file?: StorageIdentity;
  readonly tag?: string;
  readonly node?: string;
}

/** The machine's block devices. */
export interface BlockDevices {
  /**
   * Follows symbolic links. Opens block devices for reading, and nothing else.
   * @throws `ENOENT`, `ENOTDIR`, `ELOOP`, `EACCES`, `ENAMETOOLONG`; `ENXIO` or `ENODEV` for a block
   * special file without a device; `EINVAL` for a path with a NUL; `ESTALE` if it was replaced
   * meanwhile
   */
  describe(path: string): Promise<StorageTarget>;
  /**
   * Attaches a file to a free loop device, with sectors of 512 bytes, from an open descriptor that
   * was found to be the expected file.
   * @throws `ESTALE` if it is another file by now; `ELOOP` if it is a symbolic link by now; `EROFS`,
   * `EPERM`, `EACCES` or `ETXTBSY` if it cannot be written but is to be; `EBUSY` if others took every
   * loop device that was found free; `EINVAL` for what is no regular file, or a bad tag
   */
  attachLoop(request: LoopRequest): Promise<LoopDevice>;
  /**
   * Detaches a loop device that is, seen through one open descriptor, the expected one.
   * @param node `/dev/loop<number>`
   * @throws `EINVAL` for another name, `EACCES`, `EIO`, …
   */
  detachLoop(node: string, expected: LoopUse): Promise<LoopDetached>;
  /**
   * The attached loop devices that fit: of this file, of this tag, under this name (`/dev/loop0`);
   * no bounds means all. With a name no other device is looked at.
   */
  loops(bounds: LoopBounds): Promise<LoopDevice[]>;
}
