/** Whether this domain itself has mounted a block device. */
import type { DeviceSystem } from "../../plugins/contract.ts";
import type { StorageIdentity } from "../../plugins/contract_block.ts";

/** A block device as both its number and its identity tell it. */
export interface Mountable {
  readonly identity: StorageIdentity;
  readonly major?: number;
  readonly minor?: number;
}

/**
 * Where one of the devices is mounted; undefined if nowhere.
 * @param which mounts that could write, or all
 */
export async function mountPointOf(
  system: DeviceSystem,
  devices: readonly Mountable[],
  which: "writable" | "all",
): Promise<string | undefined> {
  if (devices.length === 0) return undefined;
  const identities = new Set(devices.map(({ identity }) => identity));
  const numbers = new Set(devices.map(({ major, minor }) => `${major}:${minor}`));
  for (const line of (await system.readText("/proc/self/mountinfo") ?? "").split("\n")) {
    // proc(5): number parent major:minor root mount-point options … - type source options
    const [before = "", after = ""] = line.split(" - ");
    const [, , number, , point = "", options = ""] = before.split(" ");
    const [, source = "", more = ""] = after.split(" ");
    const isReadOnly = [options, more].some((text) => text.split(",").includes("ro"));
    if (which === "writable" && isReadOnly) continue;
    if (number !== undefined && numbers.has(number)) return unescaped(point);
    // Btrfs and the like have made-up numbers.
    if (!source.startsWith("/")) continue;
    const identity = await system.identityOf(unescaped(source));
    if (identity !== undefined && identities.has(identity)) return unescaped(point);
  }
  return undefined;
}

/** Blanks and the like are written in octal there. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
