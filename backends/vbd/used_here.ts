/** What this domain itself uses of block devices and files: what is mounted, and what is swapped on. */
import type { DeviceSystem } from "../../contract/v1/plugin.ts";
import { mayBe, type Mount, parseMounts, unescaped } from "./mounts.ts";
import { shown } from "./request.ts";
import {
  type Extent,
  type FileBehind,
  identityOfNode,
  identityOfText,
  overlaps,
  type Stack,
  stackBySysfs,
  wholeOf,
} from "./stack.ts";

/** Something of this domain's own, with all that it stands on. */
interface OwnStack extends Stack {
  /** As people know it: `"/dev/sda1" is mounted here on "/mnt"`. */
  readonly told: string;
}

export interface OwnUses {
  readonly stacks: readonly OwnStack[];
  readonly mounts: readonly Mount[];
}

/** Something that is used here, and where that is said. */
interface Source {
  /** `major:minor`, as far as it is told. */
  readonly number?: string;
  readonly path: string;
  readonly told: string;
  /** Whether it is a file for sure. */
  readonly isFile?: boolean;
}

/**
 * All that this domain uses, each with what it stands on: partitions, loop devices and the like are
 * looked through. Files are taken by their names: where they lie may not answer, and is no affair of a guest's.
 * @param all also what is mounted read-only
 * @throws Error when it cannot be looked at
 */
export async function readOwnUses(system: DeviceSystem, all: boolean): Promise<OwnUses> {
  const [mountText = "", swaps = ""] = await Promise.all(
    ["/proc/self/mountinfo", "/proc/swaps"].map((path) => system.readText(path)),
  );
  const mounts = parseMounts(mountText);
  const sources = [...mountsIn(mounts, all), ...swapsIn(swaps)];
  const stacks: OwnStack[] = [];
  const found = new Set<string>();
  const places = new Set<string>();
  await Promise.all(sources.map(async ({ number, path, told, isFile = false }) => {
    const place = `${number} ${path}`;
    if (places.has(place)) return;
    places.add(place);
    if (isFile) return void stacks.push({ told, extents: [], files: [swapFile(system, path)] });
    // Btrfs and the like have made-up numbers, which begin with 0: their sources tell. What others name as
    // the source of a mount may be anywhere, and is not looked for.
    const identity = number === undefined || number.startsWith("0:")
      ? await identityOfNode(system, path)
      : identityOfText(number);
    if (identity === undefined || found.has(identity)) return;
    found.add(identity);
    stacks.push({ told, ...await stackBySysfs(system, identity) });
  }));
  return { stacks, mounts };
}

/**
 * The first that shares some of what a device is to use, in words; undefined if there is none. Of files, only
 * those are asked for that may be one of the device's.
 * @throws Error when one cannot be told
 */
export async function usedHere(
  { stacks, mounts }: OwnUses,
  extents: readonly Extent[],
): Promise<string | undefined> {
  const meets = (mine: Extent) => extents.some((extent) => overlaps(mine, extent));
  const byName = async ({ path, extent, identify }: FileBehind) => {
    if (!extents.some(({ on }) => mayBe(mounts, path.replace(/ \(deleted\)$/, ""), on))) {
      return false;
    }
    const on = await identify();
    return on !== undefined && meets({ ...extent, on });
  };
  for (const { told, extents: own, files } of stacks) {
    if (own.some(meets)) return told;
    for (const file of files) {
      if (await byName(file)) return told;
    }
  }
  return undefined;
}

function swapFile(system: DeviceSystem, path: string): FileBehind {
  return { path, extent: wholeOf(path), identify: () => system.identityOf(path) };
}

function mountsIn(mounts: readonly Mount[], all: boolean): Source[] {
  return mounts.filter(({ isReadOnly }) => all || !isReadOnly).map(({ number, point, source }) => ({
    number,
    path: source,
    told: `${shown(source)} is mounted here on ${shown(point)}: unmount it`,
  }));
}

function swapsIn(text: string): Source[] {
  // proc(5): a line of titles, then path, type, size, …
  return text.split("\n").slice(1).flatMap((line) => {
    const path = unescaped(line.split(/\s/)[0] ?? "").replace(/ \(deleted\)$/, "");
    if (path === "") return [];
    const told = `${shown(path)} is swap space here: swap it off`;
    return [{ path, told, isFile: !path.startsWith("/dev/") }];
  });
}
