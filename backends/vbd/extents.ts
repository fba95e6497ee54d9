/** Parts of storage that a device uses, and whether two of them overlap. Pure. */

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
export interface Use {
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
