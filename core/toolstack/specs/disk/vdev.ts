/** What a virtual disk is called, and its number (docs/man/xen-vbd-interface.7). Pure. */
import { EXTENDED, SMALL, XVD_MAJOR } from "../../../xen/device_label.ts";
import { parseCNumber } from "../c_number.ts";
import { placeIn, SpecError } from "../spec_error.ts";

/** Largest devid of a disk: INT_MAX of libxl. */
export const DISK_DEVID_MAX = 0x7fffffff;

/** What is accepted, in words. */
export const VDEV_RULE = "xvda … (partitions to 255), hda to hdd (to 63), sda to sdp (to 15), " +
  "each with or without a partition, d0p0 …, or a number";

/**
 * The devid of a virtual disk.
 * @throws SpecError when the text names none
 */
export function parseVdev(vdev: string): number {
  const devid = xvdNumber(vdev) ?? parseCNumber(vdev, DISK_DEVID_MAX) ?? hdNumber(vdev) ??
    sdNumber(vdev);
  if (devid === undefined) {
    const category = "invalid or unsupported virtual disk identifier";
    throw new SpecError("disk", category, placeIn(vdev, 0, 0, vdev.length), VDEV_RULE);
  }
  return devid;
}

function xvdNumber(vdev: string): number | undefined {
  const numbers = lettered("xvd", vdev, 0xfffff, 255) ?? numbered(vdev);
  if (numbers === undefined) return undefined;
  const [disk, partition] = numbers;
  return disk < SMALL && partition < SMALL
    ? XVD_MAJOR << 8 | disk << 4 | partition
    : EXTENDED | disk << 8 | partition;
}

function hdNumber(vdev: string): number | undefined {
  const [disk, partition] = lettered("hd", vdev, 3, 63) ?? [];
  if (disk === undefined || partition === undefined) return undefined;
  return (disk < 2 ? 3 : 22) << 8 | (disk & 1) << 6 | partition;
}

function sdNumber(vdev: string): number | undefined {
  const [disk, partition] = lettered("sd", vdev, 15, 15) ?? [];
  return disk === undefined || partition === undefined ? undefined : 8 << 8 | disk << 4 | partition;
}

/** Letters for the disk, digits for the partition: `xvdb2` is (1, 2). */
function lettered(
  prefix: string,
  vdev: string,
  diskMax: number,
  partitionMax: number,
): [number, number] | undefined {
  const rest = vdev.startsWith(prefix) ? vdev.slice(prefix.length) : "";
  const [, letters, digits = "0"] = /^([a-z]{1,6})([1-9]\d{0,3})?$/.exec(rest) ?? [];
  if (letters === undefined) return undefined;
  let disk = -1;
  for (const letter of letters) disk = (disk + 1) * 26 + letter.charCodeAt(0) - 97;
  const partition = Number(digits);
  return disk <= diskMax && partition <= partitionMax ? [disk, partition] : undefined;
}

/** `d1p2` is (1, 2). */
function numbered(vdev: string): [number, number] | undefined {
  const [, disk = "", partition = ""] = /^d([\da-fA-Fx]+)p([\da-fA-Fx]+)$/.exec(vdev) ?? [];
  const numbers = [parseCNumber(disk, 0xfffff), parseCNumber(partition, 255)] as const;
  return numbers[0] === undefined || numbers[1] === undefined
    ? undefined
    : [numbers[0], numbers[1]];
}
