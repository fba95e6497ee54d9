/**
 * Virtual disk numbers: what a vdev such as `xvda` is as a devid, and back
 * (docs/man/xen-vbd-interface.7, libxl_device.c `libxl__device_disk_dev_number`). Pure.
 */
import { parseCNumber } from "../numbers.ts";
import { placeIn, SpecError } from "../spec_error.ts";

/** Largest devid of a disk: INT_MAX of libxl. */
export const DISK_DEVID_MAX = 0x7fffffff;

/** Linux' block major of xvd, and of its small numbers. */
const XVD_MAJOR = 202;
/** Marks the numbers of xvd that do not fit below {@link XVD_MAJOR}. */
const EXTENDED = 1 << 28;
/** What fits below {@link XVD_MAJOR}: 16 disks of 16 partitions, the whole disk being number 0. */
const SMALL = 16;

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

/** The vdev of a devid: a name if there is one, else the number itself. */
export function formatVdev(devid: number): string {
  const [disk, partition] = [devid >> 4 & 0xf, devid & 0xf];
  switch (devid >> 8) {
    case XVD_MAJOR:
      return vdevName("xvd", disk, partition);
    case 8:
      return vdevName("sd", disk, partition);
    case 3:
    case 22:
      if ((devid & 0x80) !== 0) return String(devid);
      return vdevName("hd", (devid >> 8 === 22 ? 2 : 0) + (devid >> 6 & 1), devid & 0x3f);
  }
  if ((devid & ~(EXTENDED - 1)) === EXTENDED) {
    const name = vdevName("xvd", devid >> 8 & 0xfffff, devid & 0xff);
    if (xvdNumber(name) === devid) return name;
  }
  return String(devid);
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

/** The name of a disk and partition: 0, 26 and 702 are a, aa and aaa. */
function vdevName(prefix: string, disk: number, partition: number): string {
  let letters = "";
  for (let rest = disk; rest >= 0; rest = Math.floor(rest / 26) - 1) {
    letters = String.fromCharCode(97 + rest % 26) + letters;
  }
  return `${prefix}${letters}${partition === 0 ? "" : partition}`;
}
