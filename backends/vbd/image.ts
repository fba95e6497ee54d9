/** The image behind a loop device: whether it is still as long as the disk that is made of it. */
import type { Device } from "../../contract/v1/plugin.ts";
import { shown } from "./request.ts";

/** Bytes of a sector in sysfs. */
const SECTOR = 512;

/** How often one is looked at, in ms: its file system is asked each time, be it over a network. */
const LOOK_MS = 60_000;

/** Most devices of which what was seen is kept: beyond that, all are looked at anew. */
const KEPT_MAX = 10_000;

/** When it was last looked at, and what was seen. */
interface Seen {
  readonly at: number;
  readonly use: string;
  readonly notices: readonly string[];
}

const seen = new Map<string, Seen>();

/**
 * What is the matter with the image behind a device's loop device, in words; nothing for other devices.
 * @param sysfs the loop device's directory
 */
export async function imageNotices(device: Device, sysfs: string): Promise<readonly string[]> {
  const { system, id } = device;
  const path = await system.readText(`${sysfs}/loop/backing_file`);
  // A file without a name cannot be looked at by one.
  if (path === undefined || path.endsWith(" (deleted)")) return [];
  const key = `${id.backendDomid}/${id.kind}/${id.frontendDomid}/${id.devid}`;
  const use = `${sysfs} ${path}`;
  const before = seen.get(key);
  const now = performance.now();
  if (before !== undefined && before.use === use && now - before.at < LOOK_MS) {
    return before.notices;
  }
  const notices = await look(device, sysfs, path);
  if (seen.size >= KEPT_MAX) seen.clear();
  seen.set(key, { at: now, use, notices });
  return notices;
}

async function look({ system }: Device, sysfs: string, path: string): Promise<readonly string[]> {
  const [sectors, offset] = await Promise.all(
    ["size", "loop/offset"].map((name) => system.readText(`${sysfs}/${name}`)),
  );
  const needed = Number(offset ?? 0) + Number(sectors ?? 0) * SECTOR;
  try {
    const { kind, size } = await system.blocks.describe(path);
    if (kind !== "file" || size >= needed) return [];
    return [
      `its image ${shown(path)} has shrunk to ${size} bytes, of which the guest has ${needed}: ` +
      "what it reads or writes beyond them fails",
    ];
  } catch (error) {
    const { code = error } = error as { code?: unknown };
    // Renamed or removed just now, or seen from another place: the loop device has it all the same.
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    return [`its image ${shown(path)} cannot be looked at (${code})`];
  }
}
