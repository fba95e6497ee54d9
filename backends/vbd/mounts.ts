/** What is mounted here, as /proc/self/mountinfo has it. Pure. */

export interface Mount {
  /** `major:minor` of what its files are on; made up where no block device is: `0:45`. */
  readonly number: string;
  readonly point: string;
  readonly source: string;
  readonly type: string;
  readonly isReadOnly: boolean;
}

/** @param text of the whole file (proc(5)) */
export function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    // number parent major:minor root mount-point options … - type source options
    const [before = "", after = ""] = line.split(" - ");
    const [, , number, , point = "", options = ""] = before.split(" ");
    const [type = "", source = "", more = ""] = after.split(" ");
    if (number === undefined) return [];
    const isReadOnly = [options, more].some((text) => text.split(",").includes("ro"));
    return [{ number, point: unescaped(point), source: unescaped(source), type, isReadOnly }];
  });
}

/** File systems whose files have other numbers than the mount: one for each subvolume or layer. */
const INNER_NUMBERS = /^(bcachefs|btrfs|overlay|zfs)$/;

/**
 * Whether a path may lead to a file with this identity (`<st_dev>:<st_ino>`), by where it is: what is on
 * another mount is another file, and need not be asked for.
 */
export function mayBe(mounts: readonly Mount[], path: string, identity: string): boolean {
  const number = numberOfFile(identity);
  if (number === undefined) return false;
  let on: Mount | undefined;
  for (const mount of mounts) {
    const { point } = mount;
    if (point !== "/" && path !== point && !path.startsWith(`${point}/`)) continue;
    // Of two at the same place the later one covers the other.
    if (on === undefined || point.length >= on.point.length) on = mount;
  }
  if (on === undefined || on.number === number) return true;
  return number.startsWith("0:") && INNER_NUMBERS.test(on.type);
}

/** `major:minor` of what a file is on (glibc's major and minor); undefined for what is no file. */
function numberOfFile(identity: string): string | undefined {
  const digits = /^(\d+):\d+$/.exec(identity)?.[1];
  if (digits === undefined) return undefined;
  const device = BigInt(digits);
  const major = device >> 8n & 0xfffn | device >> 32n & ~0xfffn;
  return `${major}:${device & 0xffn | device >> 12n & 0xffffff00n}`;
}

/** Blanks and the like are written in octal there. */
export function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
