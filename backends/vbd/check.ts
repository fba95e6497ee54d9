/** What has become of a disk that was set up, by whatever means. */
import type { Device, Findings } from "../../contract/v1/plugin.ts";
import { imageNotices } from "./image.ts";
import type { VbdUndo } from "./undo.ts";

/** LOOP_MAJOR of linux/major.h. */
const LOOP_MAJOR = 7;

/** Where the kernel tells of a block device; null unless the node's text is one that blkback reads. */
function sysfsOf(number: string): string | null {
  const match = /^([0-9a-f]+):([0-9a-f]+)$/.exec(number);
  if (match === null) return null;
  const [major, minor] = match.slice(1).map((text) => parseInt(text, 16));
  return `/sys/dev/block/${major}:${minor}`;
}

/** A file of a disk's; a partition has its disk above it. */
async function ofDisk(
  { system }: Device,
  sysfs: string,
  name: string,
): Promise<string | undefined> {
  return await system.readText(`${sysfs}/${name}`) ?? await system.readText(`${sysfs}/../${name}`);
}

/** Records which use of its block device a disk is, whose number may become another one's. */
export async function recordDisk(device: Device, number: string | undefined): Promise<void> {
  const sysfs = number === undefined ? null : sysfsOf(number);
  if (sysfs !== null && await isEmpty(device, sysfs) && !await isRemovable(device, sysfs)) {
    // A script may know why.
    device.log.warning(`its block device ${number} has no sector: nothing can be read from it`);
  }
  const diskseq = sysfs === null ? undefined : await ofDisk(device, sysfs, "diskseq");
  if (diskseq !== undefined) await device.recordUndo({ disk: `${number}#${diskseq}` });
}

/** Whether a block device is smaller than a sector, as the kernel counts them (512 bytes). */
async function isEmpty({ system }: Device, sysfs: string): Promise<boolean> {
  return await system.readText(`${sysfs}/size`) === "0";
}

/** Whether it can still work, and whether its nodes say what they said. */
export async function checkDisk(device: Device): Promise<Findings> {
  const written = await device.nodes.read("physical-device");
  const number = device.copy["physical-device"] ?? written;
  const sysfs = number === undefined ? null : sysfsOf(number);
  if (number === undefined || sysfs === null) return {};
  const broken = await faultOf(device, number, sysfs);
  if (broken !== null) return { broken };
  const notices = await imageNotices(device, sysfs);
  const found = notices.length === 0 ? {} : { notices };
  if (written === number) return found;
  if (written !== undefined && written !== "") {
    const says = JSON.stringify(written.slice(0, 40));
    return { notices: [...notices, `physical-device says ${says} by now, not ${number}`] };
  }
  // Without its directory it has no nodes, which is for the daemon to see.
  if (await device.nodes.read("frontend-id") === undefined) return found;
  await device.nodes.write({ "physical-device": number });
  return { ...found, mended: [`physical-device was removed: ${number} is written again`] };
}

async function faultOf(device: Device, number: string, sysfs: string): Promise<string | null> {
  const { system } = device;
  const { node, use = "", disk = "" } = device.undo as VbdUndo;
  if (!await system.exists(sysfs)) return `its block device ${number} is gone`;
  // The device itself stays when the file is taken from it.
  const isLoop = parseInt(number, 16) === LOOP_MAJOR;
  if (isLoop && !await system.exists(`${sysfs}/loop/backing_file`)) {
    return `its loop device ${node ?? number} was detached`;
  }
  if (await isEmpty(device, sysfs) && !await isRemovable(device, sysfs)) {
    return `its block device ${number} has no sector left`;
  }
  // Whoever changes a medium does not change the drive.
  const recorded = disk.startsWith(`${number}#`) ? disk : use;
  const before = recorded.slice(recorded.lastIndexOf("#") + 1);
  if (before === "") return null;
  const diskseq = await ofDisk(device, sysfs, "diskseq");
  if (diskseq === undefined || diskseq === before) return null;
  return await isRemovable(device, sysfs)
    ? null
    : `its block device ${number} is another one by now`;
}

/** Whether its medium may be taken out. */
async function isRemovable(device: Device, sysfs: string): Promise<boolean> {
  return await ofDisk(device, sysfs, "removable") === "1";
}
