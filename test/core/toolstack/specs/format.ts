/** Specifications from which the parsers make the same again. */
import type { DiskSpec } from "../../../../core/toolstack/specs/disk/spec.ts";
import { type NicRate, type NicSpec, UNITS } from "../../../../core/toolstack/specs/nic/spec.ts";

/** A specification from which the parser makes the same disk again. */
export function formatDisk(disk: DiskSpec): string {
  const pieces: string[] = [];
  const text = (key: string, value: string | undefined) => {
    if (value !== undefined) pieces.push(`${key}=${value}`);
  };
  const flag = (on: string, off: string, value: boolean | undefined) => {
    if (value !== undefined) pieces.push(value ? on : off);
  };
  text("format", disk.format);
  text("vdev", disk.vdev);
  if (disk.cdrom) pieces.push("cdrom");
  else text("access", disk.readOnly ? "ro" : "rw");
  text("backend", disk.backend);
  text("backendtype", disk.backendType);
  text("script", disk.script);
  text("specification", disk.specification);
  if (disk.directIoSafe) pieces.push("direct-io-safe");
  flag("discard", "no-discard", disk.discard);
  flag("trusted", "untrusted", disk.trusted);
  flag("grant_usage=1", "grant_usage=0", disk.grantUsage);
  flag("colo", "no-colo", disk.colo);
  text("colo-host", disk.coloHost);
  text("colo-port", disk.coloPort?.toString());
  text("colo-export", disk.coloExport);
  text("active-disk", disk.activeDisk);
  text("hidden-disk", disk.hiddenDisk);
  // Goes to the end of the text, and of commas there one is cut off.
  text("target", disk.target?.endsWith(",") ? `${disk.target},` : disk.target);
  return pieces.join(",");
}

/** Items from which the parser makes the same interface again; none has a comma added. */
export function formatNic(nic: NicSpec): string[] {
  const { colo, rate, trusted, ...rest } = nic;
  const items = Object.entries({ ...rest, ...colo }).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${value}`]
  );
  if (rate !== undefined) items.push(`rate=${formatRate(rate)}`);
  if (trusted !== undefined) items.push(trusted ? "trusted" : "untrusted");
  return items;
}

/** What a rate's number may be: 32 bits. */
const inRange = (count: bigint) => count >= 1n && count <= 0xffffffffn;

/** A rate from which the parser makes the same one again. */
export function formatRate({ bytesPerSecond, intervalUs }: NicRate): string {
  for (const [unit, factor] of Object.entries(UNITS).reverse()) {
    if (bytesPerSecond % factor === 0n && inRange(bytesPerSecond / factor)) {
      return `${bytesPerSecond / factor}${unit}B/s@${intervalUs}us`;
    }
  }
  // Too large or too small for bytes: the smallest number of bits that comes down to it.
  for (const [unit, factor] of Object.entries(UNITS)) {
    const count = (bytesPerSecond * 8n + factor - 1n) / factor || 1n;
    if (inRange(count) && count * factor / 8n === bytesPerSecond) {
      return `${count}${unit}b/s@${intervalUs}us`;
    }
  }
  throw new RangeError(`no rate: ${bytesPerSecond} bytes a second`);
}
