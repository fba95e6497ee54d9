/** Whether this domain itself has mounted a block device. */
import type { DeviceSystem } from "../../plugins/contract.ts";
import type { BlockDevices, StorageIdentity } from "../../plugins/contract_block.ts";

/** A block device as both its number and its identity tell it. */
export interface Mountable {
  readonly identity: StorageIdentity;
  readonly major?: number;
  readonly minor?: number;
}

/** Where one of the devices is mounted; undefined if nowhere. */
export async function mountPointOf(
  system: DeviceSystem,
  devices: readonly Mountable[],
  mounts: readonly Mount[],
): Promise<string | undefined> {
  const identities = new Set(devices.map(({ identity }) => identity));
  const numbers = new Set(devices.map(({ major, minor }) => `${major}:${minor}`));
  for (const { number, source, point } of mounts) {
    if (numbers.has(number)) return point;
    // Btrfs and the like have made-up numbers.
    if (!source.startsWith("/")) continue;
    const identity = await system.identityOf(source);
    if (identity !== undefined && identities.has(identity)) return point;
  }
  return undefined;
}

/**
 * Where a loop device that carries the file, or a part of it, is mounted; undefined if nowhere. Only
 * what is mounted is looked at: there may be hundreds of loop devices.
 */
export async function mountPointOfFile(
  system: DeviceSystem,
  blocks: BlockDevices,
  file: StorageIdentity,
  mounts: readonly Mount[],
): Promise<string | undefined> {
  for (const { number, source, point } of mounts) {
    for (const node of await loopsBehind(system, number, source)) {
      if ((await blocks.loops({ file, node })).length > 0) return point;
    }
  }
  return undefined;
}

/** Major numbers that a mounted loop device may show: made-up ones, its own, that of partitions. */
const MAYBE_LOOP = /^(0|7|259):/;

/** A mount's loop device: by its number, and by its name, which may be that of a partition. */
async function loopsBehind(
  system: DeviceSystem,
  number: string,
  source: string,
): Promise<Set<string>> {
  if (!MAYBE_LOOP.test(number)) return new Set();
  const real = source.startsWith("/") ? await system.realPath(source) ?? source : "";
  const nodes = [
    number.replace(/^7:(\d+)$/, "/dev/loop$1"),
    /^\/dev\/loop\d+/.exec(real)?.[0] ?? "",
  ];
  return new Set(nodes.filter((node) => node.startsWith("/dev/loop")));
}

/** A line of mountinfo. */
export interface Mount {
  /** `major:minor` */
  readonly number: string;
  readonly source: string;
  readonly point: string;
}

/** What this domain has mounted. @param which mounts that could write, or all */
export async function readMounts(
  system: DeviceSystem,
  which: "writable" | "all",
): Promise<Mount[]> {
  const found: Mount[] = [];
  for (const line of (await system.readText("/proc/self/mountinfo") ?? "").split("\n")) {
    // proc(5): number parent major:minor root mount-point options … - type source options
    const [before = "", after = ""] = line.split(" - ");
    const [, , number, , point = "", options = ""] = before.split(" ");
    const [, source = "", more = ""] = after.split(" ");
    const isReadOnly = [options, more].some((text) => text.split(",").includes("ro"));
    if (number === undefined || which === "writable" && isReadOnly) continue;
    found.push({ number, source: unescaped(source), point: unescaped(point) });
  }
  return found;
}

/** Blanks and the like are written in octal there. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
