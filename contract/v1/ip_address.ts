/** IP addresses and networks as text and bytes. Part of the plugin contract; pure. */

/** An address or network, and what it is in bytes. */
export interface IpNetwork {
  readonly version: 4 | 6;
  /** 4 or 16 of them, in network order. */
  readonly bytes: readonly number[];
  /** Length of the prefix: 0 … 32 or 0 … 128; all of them if none was given. */
  readonly bits: number;
}

/** Reads `address` or `address/bits`, of IPv4 (four decimal numbers) or IPv6; null if it is neither. */
export function parseIp(text: string): IpNetwork | null {
  const match = /^([0-9a-fA-F.:]{2,45})(?:\/(0|[1-9]\d{0,2}))?$/.exec(text);
  if (match === null) return null;
  const [, address = "", prefix] = match;
  const bytes = address.includes(":") ? bytesOf6(address) : bytesOf4(address);
  if (bytes === null) return null;
  const all = bytes.length * 8;
  const bits = prefix === undefined ? all : Number(prefix);
  return bits > all ? null : { version: all === 32 ? 4 : 6, bytes, bits };
}

/** The address alone, IPv6 in its shortest form. */
export function formatAddress({ bytes }: Pick<IpNetwork, "bytes">): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from(
    { length: GROUPS },
    (_, index) => bytes[2 * index]! << 8 | bytes[2 * index + 1]!,
  );
  return shortest(groups);
}

/** `address/bits`. */
export function formatIp(network: IpNetwork): string {
  return `${formatAddress(network)}/${network.bits}`;
}

/** Whether something is set behind the prefix, as in 10.0.0.1/24. */
export function hasHostBits({ bytes, bits }: IpNetwork): boolean {
  return bytes.some((byte, index) =>
    (byte & (0xff >> Math.min(8, Math.max(0, bits - 8 * index)))) !== 0
  );
}

function bytesOf4(text: string): number[] | null {
  const parts = text.split(".");
  const isByte = (part: string) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255;
  return parts.length === 4 && parts.every(isByte) ? parts.map(Number) : null;
}

/** RFC 4291, 2.2: groups, `::` in place of one or more of zeros, and IPv4 in place of the last two. */
function bytesOf6(text: string): number[] | null {
  const [head = "", tail, more] = text.split("::");
  if (more !== undefined) return null;
  const left = groupsOf(head, tail === undefined);
  const right = groupsOf(tail ?? "", true);
  if (left === null || right === null) return null;
  const missing = GROUPS - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const zeros = Array.from({ length: missing }, () => 0);
  return [...left, ...zeros, ...right].flatMap((group) => [group >> 8, group & 0xff]);
}

const GROUPS = 8;

/** @param atEnd whether IPv4 may follow */
function groupsOf(text: string, atEnd: boolean): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    const isLast = atEnd && index === parts.length - 1;
    const four = isLast && part.includes(".") ? bytesOf4(part) : null;
    if (four !== null) groups.push(four[0]! << 8 | four[1]!, four[2]! << 8 | four[3]!);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(parseInt(part, 16));
    else return null;
  }
  return groups;
}

/** RFC 5952, 4: without leading zeros, the first of the longest runs of two or more zeros as `::`. */
function shortest(groups: readonly number[]): string {
  let run = { start: 0, length: 1 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > run.length) run = { start, length };
  }
  const texts = groups.map((group) => group.toString(16));
  if (run.length === 1) return texts.join(":");
  const end = run.start + run.length;
  return `${texts.slice(0, run.start).join(":")}::${texts.slice(end).join(":")}`;
}
