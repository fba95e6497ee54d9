/** What a device is going to use, as its undo record has it: for others to find. */
import type { Device, Undo } from "../../contract/v1/plugin.ts";
import { type Extent, formatUse, identityOfText, parseUse, stackOf, wholeOf } from "./stack.ts";
import { isXenBlock, nameOf } from "./request.ts";

/** What a device uses, down to the disks and files that it stands on. */
export interface Claim {
  readonly extents: readonly Extent[];
  readonly writes: boolean;
}

/** Names of the undo record: one for each thing that is used. */
const PREFIX = "storage ";

/** The name under which a thing's uses are recorded. */
export function recordOf(on: string): string {
  return `${PREFIX}${on}`;
}

/** Whether a record has a claim. */
export function hasClaim(undo: Undo): boolean {
  return Object.keys(undo).some((name) => name.startsWith(PREFIX));
}

/** A claim as the undo record has it. */
export function toUndo({ extents, writes }: Claim): Undo {
  const things = Map.groupBy(extents, ({ on }) => on);
  return Object.fromEntries(
    [...things].map(([on, extents]) => [recordOf(on), formatUse({ writes, extents })]),
  );
}

/** The claim that a record has; nothing if it has none. */
export function claimIn(undo: Undo): Claim {
  const uses = Object.entries(undo).filter(([name]) => name.startsWith(PREFIX))
    .map(([name, text]) => parseUse(name.slice(PREFIX.length), String(text)));
  return {
    extents: uses.flatMap(({ extents }) => extents),
    writes: uses.some(({ writes }) => writes),
  };
}

/** Whether a mode says that the guest writes. */
export function writesIn(mode: string): boolean {
  return mode.includes("w");
}

/** A type before the path of a target, as in `dummy:/file`. */
const TYPED_PATH = /^[\w.+-]+:(\/.*)$/;

/** What may be a name in `/dev`. */
const NAME = /^[\w.+:@/-]{1,200}$/;

/**
 * The identity of what a target names: a path, one with a type before it (`dummy:/file`), or a name in
 * `/dev`; undefined if it is, or leads to, nothing of that kind.
 */
async function identityOfTarget(device: Device, params: string): Promise<string | undefined> {
  const path = params.startsWith("/") ? params : TYPED_PATH.exec(params)?.[1];
  if (path !== undefined) return await identityOf(device, path);
  if (!NAME.test(params)) return undefined;
  const identity = await identityOf(device, `/dev/${params}`);
  return identity?.startsWith("block ") ? identity : undefined;
}

async function identityOf({ system }: Device, path: string): Promise<string | undefined> {
  try {
    return await system.identityOf(path);
  } catch (error) {
    const { code } = error as { code?: unknown };
    // No path of that kind leads anywhere.
    if (code === "ENAMETOOLONG" || code === "ELOOP") return undefined;
    throw error;
  }
}

/**
 * What a script's target names: the words themselves, as that script understands them, and the storage,
 * if there is any of that name yet. Xen's own script goes by that alone.
 */
export async function extentsOfTarget(
  device: Device,
  script: string,
  params: string,
): Promise<{ readonly extents: readonly Extent[]; readonly isKnown: boolean }> {
  if (params === "") return { extents: [], isKnown: false };
  const identity = await identityOfTarget(device, params);
  const words = wholeOf(`named ${nameOf(script)} ${params}`);
  if (identity === undefined) return { extents: [words], isKnown: false };
  const stack = await stackOf(device.system, identity);
  return { extents: isXenBlock(script) ? stack : [words, ...stack], isKnown: true };
}

/** The block device that a script has made, as the nodes name it; undefined if they name none. */
export async function identityOfMade({ nodes, system }: Device): Promise<string | undefined> {
  const [number, path] = await Promise.all([
    nodes.read("physical-device"),
    nodes.read("physical-device-path"),
  ]);
  const match = /^([0-9a-f]+):([0-9a-f]+)$/i.exec(number ?? "");
  if (match !== null) {
    const decimal = `${parseInt(match[1]!, 16)}:${parseInt(match[2]!, 16)}`;
    if (await system.exists(`/sys/dev/block/${decimal}`)) return identityOfText(decimal);
  }
  return path?.startsWith("/") ? await system.identityOf(path) : undefined;
}
