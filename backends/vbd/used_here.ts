/** What this domain itself uses of block devices and files: what is mounted, and what is swapped on. */
import type { DeviceSystem } from "../../contract/v1/plugin.ts";
import { type Extent, overlaps } from "./extents.ts";
import { shown } from "./request.ts";
import { identityOfText, stackOf } from "./stack.ts";

/** Something of this domain's own. */
interface OwnUse {
  readonly identity: string;
  /** As people know it: `"/dev/sda1" is mounted here on "/mnt"`. */
  readonly told: string;
}

/** The same, with all that it stands on. */
export interface OwnStack {
  readonly told: string;
  readonly extents: readonly Extent[];
}

/**
 * All that this domain uses, each with what it stands on: partitions, loop devices and the like are
 * looked through.
 * @param all also what is mounted read-only
 * @throws Error when it cannot be looked at
 */
export async function readOwnUses(system: DeviceSystem, all: boolean): Promise<OwnStack[]> {
  const uses = await ownUses(system, all);
  return await Promise.all(uses.map(async ({ identity, told }) => ({
    told,
    extents: await stackOf(system, identity),
  })));
}

/** The first that shares some of what a device is to use, in words; undefined if there is none. */
export function usedHere(
  own: readonly OwnStack[],
  extents: readonly Extent[],
): string | undefined {
  return own.find((use) =>
    use.extents.some((mine) => extents.some((extent) => overlaps(mine, extent)))
  )?.told;
}

/** Each thing once. */
async function ownUses(system: DeviceSystem, all: boolean): Promise<OwnUse[]> {
  const [mounts, swaps] = await Promise.all([
    system.readText("/proc/self/mountinfo"),
    system.readText("/proc/swaps"),
  ]);
  const sources = [...mountsIn(mounts ?? "", all), ...swapsIn(swaps ?? "")];
  const found = new Map<string, OwnUse>();
  const places = new Set<string>();
  await Promise.all(sources.map(async ({ number, path, told }) => {
    const place = `${number} ${path}`;
    if (places.has(place)) return;
    places.add(place);
    // Btrfs and the like have made-up numbers, which begin with 0.
    const identity = number === undefined || number.startsWith("0:")
      ? path.startsWith("/") ? await system.identityOf(path) : undefined
      : identityOfText(number);
    if (identity !== undefined && !found.has(identity)) found.set(identity, { identity, told });
  }));
  return [...found.values()];
}

interface Source {
  /** `major:minor`, as far as it is told. */
  readonly number?: string;
  readonly path: string;
  readonly told: string;
}

function mountsIn(text: string, all: boolean): Source[] {
  const found: Source[] = [];
  for (const line of text.split("\n")) {
    // proc(5): number parent major:minor root mount-point options … - type source options
    const [before = "", after = ""] = line.split(" - ");
    const [, , number, , point = "", options = ""] = before.split(" ");
    const [, source = "", more = ""] = after.split(" ");
    const isReadOnly = [options, more].some((text) => text.split(",").includes("ro"));
    if (number === undefined || !all && isReadOnly) continue;
    const path = unescaped(source);
    const at = shown(unescaped(point));
    found.push({ number, path, told: `${shown(path)} is mounted here on ${at}: unmount it` });
  }
  return found;
}

function swapsIn(text: string): Source[] {
  // proc(5): a line of titles, then path, type, size, …
  return text.split("\n").slice(1).flatMap((line) => {
    const path = unescaped(line.split(/\s/)[0] ?? "").replace(/ \(deleted\)$/, "");
    return path === "" ? [] : [{ path, told: `${shown(path)} is swap space here: swap it off` }];
  });
}

/** Blanks and the like are written in octal there. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
