/** Names of virtual disks by their numbers (docs/man/xen-vbd-interface.7). Pure. */

/** Linux' block major of xvd, and of its small numbers. */
export const XVD_MAJOR = 202;
/** Marks the numbers of xvd that do not fit below {@link XVD_MAJOR}. */
export const EXTENDED = 1 << 28;
/** What fits below {@link XVD_MAJOR}: 16 disks of 16 partitions, the whole disk being number 0. */
export const SMALL = 16;

/** The vdev of a devid, such as `xvda2`: a name if there is one, else the number itself. */
export function formatVdev(devid: number): string {
  const [disk, partition] = [devid >> 4 & 0xf, devid & 0xf];
  switch (devid >>> 8) {
    case XVD_MAJOR:
      return vdevName("xvd", disk, partition);
    case 8:
      return vdevName("sd", disk, partition);
    case 3:
    case 22:
      if ((devid & 0x80) !== 0) return String(devid);
      return vdevName("hd", (devid >> 8 === 22 ? 2 : 0) + (devid >> 6 & 1), devid & 0x3f);
  }
  if (devid >>> 28 === 1) {
    const [disk, partition] = [devid >> 8 & 0xfffff, devid & 0xff];
    // What is small has its number below the major.
    if (disk >= SMALL || partition >= SMALL) return vdevName("xvd", disk, partition);
  }
  return String(devid);
}

/** The name of a disk and partition: 0, 26 and 702 are a, aa and aaa. */
function vdevName(prefix: string, disk: number, partition: number): string {
  let letters = "";
  for (let rest = disk; rest >= 0; rest = Math.floor(rest / 26) - 1) {
    letters = String.fromCharCode(97 + rest % 26) + letters;
  }
  return `${prefix}${letters}${partition === 0 ? "" : partition}`;
}
