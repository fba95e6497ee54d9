/**
 * What a block device stands on (partitions, loop devices, device mapper tables, arrays), as parts of
 * storage that may overlap.
 */
import type { DeviceSystem } from "../../contract/v1/plugin.ts";

/** A part of something. */
export interface Extent {
  /** What it is a part of: an identity as of `DeviceSystem.identityOf`, or the words of a target. */
  readonly on: string;
  /** In bytes; `end` is the first one behind it, Infinity if nothing bounds it. */
  readonly start: number;
  readonly end: number;
  /**
   * Where bytes cannot be followed any further: through a table of the device mapper, say. Two that both
   * come through one of these overlap there, if they do, and need not be compared below it.
   */
  readonly settledAt: readonly string[];
}

/** All of something. */
export function wholeOf(on: string): Extent {
  return { on, start: 0, end: Infinity, settledAt: [] };
}

/** Whether what is written through one may be read through the other. */
export function overlaps(a: Extent, b: Extent): boolean {
  if (a.on !== b.on || a.settledAt.some((place) => b.settledAt.includes(place))) return false;
  return a.start < b.end && b.start < a.end;
}

/** What of a device is recorded of one thing. */
interface Use {
  readonly writes: boolean;
  readonly extents: readonly Extent[];
}

/** As text: `w 0-512, 1024- of block 2049/block 2050`. */
export function formatUse({ writes, extents }: Use): string {
  const parts = extents.map(({ start, end, settledAt }) => {
    const range = `${start}-${end === Infinity ? "" : end}`;
    return settledAt.length === 0 ? range : `${range} of ${settledAt.join("/")}`;
  });
  return `${writes ? "w" : "r"} ${parts.join(", ")}`;
}

/** @param on what the text was recorded of; a text that makes no sense stands for all of it, written */
export function parseUse(on: string, text: string): Use {
  const extents: Extent[] = [];
  for (const part of text.slice(2).split(", ")) {
    const match = /^(\d+)-(\d*)(?: of (.+))?$/.exec(part);
    if (match === null) return { writes: true, extents: [wholeOf(on)] };
    const [, start, end, places] = match;
    extents.push({
      on,
      start: Number(start),
      end: end === "" ? Infinity : Number(end),
      settledAt: places?.split("/") ?? [],
    });
  }
  return { writes: !text.startsWith("r"), extents };
}

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

/** A file that a loop device carries, by its name alone: who keeps it has not been asked. */
export interface FileBehind {
  readonly path: string;
  /** What is used of it; `on` is the loop device. */
  readonly extent: Extent;
  /** Asks which file that is; undefined when nobody can tell. @throws SystemError when there is no answer */
  identify(): Promise<string | undefined>;
}

/** What something stands on, as far as sysfs tells. */
export interface Stack {
  /** Block devices, and what it began with; the nearest first. */
  readonly extents: readonly Extent[];
  readonly files: readonly FileBehind[];
}

/**
 * All that something stands on, itself among it, the nearest first. Files are not looked through: what
 * their file system is on is mounted.
 * @throws Error when it cannot be looked through
 */
export async function stackOf(system: DeviceSystem, identity: string): Promise<Extent[]> {
  const found: Extent[] = [];
  for (let from = [wholeOf(identity)]; from.length > 0;) {
    const { extents, files } = await lookThrough(system, from, found);
    found.push(...extents);
    const behind = await Promise.all(files.map(async ({ extent, identify }) => {
      const on = await identify();
      return on === undefined ? [] : [{ ...extent, on }];
    }));
    from = behind.flat();
  }
  return found;
}

/** The same without asking storage: of somebody else's, which may not answer. */
export function stackBySysfs(system: DeviceSystem, identity: string): Promise<Stack> {
  return lookThrough(system, [wholeOf(identity)], []);
}

/** @param known what has been looked through before */
async function lookThrough(
  system: DeviceSystem,
  from: readonly Extent[],
  known: readonly Extent[],
): Promise<Stack> {
  const found: Extent[] = [];
  const files: FileBehind[] = [];
  const keys = new Set(known.map((extent) => JSON.stringify(extent)));
  let level = from;
  while (level.length > 0) {
    const fresh = level.filter((extent) => {
      const key = JSON.stringify(extent);
      if (keys.has(key) || keys.size >= EXTENTS_MAX) return false;
      keys.add(key);
      return true;
    });
    found.push(...fresh);
    level = (await Promise.all(fresh.map((extent) => below(system, extent, files)))).flat();
  }
  return { extents: found, files };
}

async function below(
  system: DeviceSystem,
  extent: Extent,
  files: FileBehind[],
): Promise<Extent[]> {
  const number = numberOfIdentity(extent.on);
  if (number === undefined) return [];
  const directory = `/sys/dev/block/${number}`;
  const names = await system.list(directory);
  if (names.includes("partition")) return await belowPartition(system, directory, extent);
  if (names.includes("loop")) return await belowLoop(system, directory, extent, files);
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

/** @param files gets what it carries, unless that is a block device */
async function belowLoop(
  system: DeviceSystem,
  directory: string,
  extent: Extent,
  files: FileBehind[],
): Promise<Extent[]> {
  const [file, offset, limit] = await Promise.all(
    ["backing_file", "offset", "sizelimit"].map((name) =>
      system.readText(`${directory}/loop/${name}`)
    ),
  );
  if (file === undefined) return [];
  // 0 stands for no limit.
  const [start, size] = [Number(offset ?? 0), Number(limit ?? 0) || Infinity];
  const node = await identityOfNode(system, file);
  if (node !== undefined) return [within(extent, node, start, size)];
  files.push({
    path: file,
    extent: within(extent, extent.on, start, size),
    identify: async () => await system.identityOf(file) ?? await askLoop(system, directory),
  });
  return [];
}

/** The identity of a device node; undefined for what is not in `/dev`. */
export async function identityOfNode(
  system: DeviceSystem,
  path: string,
): Promise<string | undefined> {
  const name = /^\/dev\/(.+)$/.exec(path)?.[1];
  if (name === undefined) return undefined;
  // Where the kernel's own name stands there, nothing has to be looked for.
  const number = await system.readText(`/sys/class/block/${name.replaceAll("/", "!")}/dev`);
  return identityOfText(number) ?? await system.identityOf(path);
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
