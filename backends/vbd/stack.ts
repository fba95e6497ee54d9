/** What a block device stands on: partitions, loop devices, device mapper tables, arrays. */
import type { DeviceSystem } from "../../contract/v1/plugin.ts";
import { type Extent, wholeOf } from "./extents.ts";

/** Bytes of a sector in sysfs. */
const SECTOR = 512;

/** Most extents of one device: a volume over more disks than that is looked through to the nearest. */
const EXTENTS_MAX = 256;

/** Of the device mapper's tables, those that never share what is below them with another table. */
const UNDIVIDED = /^(CRYPT|mpath)-/;

/** Identity of a block device: its number as `stat(2)` has it (glibc's makedev). */
export function identityOfNumber(major: number, minor: number): string {
  const [device, unit] = [BigInt(major), BigInt(minor)];
  const high = (device & ~0xfffn) << 32n | (unit & ~0xffn) << 12n;
  return `block ${high | (device & 0xfffn) << 8n | unit & 0xffn}`;
}

/** `major:minor`; undefined for what is no block device. */
export function numberOfIdentity(identity: string): string | undefined {
  const digits = /^block (\d+)$/.exec(identity)?.[1];
  if (digits === undefined) return undefined;
  const number = BigInt(digits);
  const major = number >> 8n & 0xfffn | number >> 32n & ~0xfffn;
  return `${major}:${number & 0xffn | number >> 12n & 0xffffff00n}`;
}

/** Identity by `major:minor`, decimal as in sysfs; undefined for another text. */
export function identityOfText(number: string | undefined): string | undefined {
  const match = /^(\d+):(\d+)$/.exec(number ?? "");
  return match === null ? undefined : identityOfNumber(Number(match[1]), Number(match[2]));
}

/**
 * All that something stands on, itself among it, the nearest first. Files are not looked through: what
 * their file system is on is mounted.
 * @throws Error when it cannot be looked through
 */
export async function stackOf(system: DeviceSystem, identity: string): Promise<Extent[]> {
  const found: Extent[] = [];
  const keys = new Set<string>();
  let level: readonly Extent[] = [wholeOf(identity)];
  while (level.length > 0) {
    const fresh = level.filter((extent) => {
      const key = JSON.stringify(extent);
      if (keys.has(key) || keys.size >= EXTENTS_MAX) return false;
      keys.add(key);
      return true;
    });
    found.push(...fresh);
    level = (await Promise.all(fresh.map((extent) => below(system, extent)))).flat();
  }
  return found;
}

async function below(system: DeviceSystem, extent: Extent): Promise<Extent[]> {
  const number = numberOfIdentity(extent.on);
  if (number === undefined) return [];
  const directory = `/sys/dev/block/${number}`;
  const names = await system.list(directory);
  if (names.includes("partition")) return await belowPartition(system, directory, extent);
  if (names.includes("loop")) return await belowLoop(system, directory, extent);
  const slaves = names.includes("slaves") ? await system.list(`${directory}/slaves`) : [];
  if (slaves.length === 0) return [];
  const table = names.includes("dm") ? await system.readText(`${directory}/dm/uuid`) ?? "" : "";
  const identities = await Promise.all(
    slaves.map(async (slave) =>
      identityOfText(await system.readText(`${directory}/slaves/${slave}/dev`))
    ),
  );
  return identities.filter((on) => on !== undefined).map((on) => ({
    ...wholeOf(on),
    // A volume group gives each of its volumes other pieces of a disk: they do not meet there.
    settledAt: [...extent.settledAt, UNDIVIDED.test(table) ? extent.on : on],
  }));
}

async function belowPartition(
  system: DeviceSystem,
  directory: string,
  extent: Extent,
): Promise<Extent[]> {
  const [start, size, disk] = await Promise.all(
    // A partition's directory is in that of its disk.
    ["start", "size", "../dev"].map((name) => system.readText(`${directory}/${name}`)),
  );
  const on = identityOfText(disk);
  return on === undefined
    ? []
    : [within(extent, on, Number(start) * SECTOR, Number(size) * SECTOR)];
}

async function belowLoop(
  system: DeviceSystem,
  directory: string,
  extent: Extent,
): Promise<Extent[]> {
  const [file, offset, limit] = await Promise.all(
    ["backing_file", "offset", "sizelimit"].map((name) =>
      system.readText(`${directory}/loop/${name}`)
    ),
  );
  if (file === undefined) return [];
  const on = await system.identityOf(file) ?? await askLoop(system, directory);
  // 0 stands for no limit.
  return on === undefined
    ? []
    : [within(extent, on, Number(offset ?? 0), Number(limit ?? 0) || Infinity)];
}

/** The file behind a loop device that has no name any more, or none that leads to it here. */
async function askLoop(system: DeviceSystem, directory: string): Promise<string | undefined> {
  const name = /^DEVNAME=(loop\d+)$/m.exec(await system.readText(`${directory}/uevent`) ?? "")?.[1];
  if (name === undefined) return undefined;
  return (await system.blocks.loops({ node: `/dev/${name}` }))[0]?.file;
}

/** The same part, seen from what it is a window on. */
function within(extent: Extent, on: string, start: number, size: number): Extent {
  return {
    ...extent,
    on,
    start: start + extent.start,
    end: Math.min(start + size, start + extent.end),
  };
}
