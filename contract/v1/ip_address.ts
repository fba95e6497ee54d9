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
    { length: 8 },
    (_, index) => (bytes[2 * index]! << 8 | bytes[2 * index + 1]!).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
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

/** The URL parser knows all ways to write one and gives the shortest back. */
function bytesOf6(text: string): number[] | null {
  let short: string;
  try {
    short = new URL(`http://[${text}]`).hostname.slice(1, -1);
  } catch {
    return null;
  }
  const [head = "", tail] = short.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  return [...left, ...zeros, ...right].flatMap((group) => {
    const number = parseInt(group, 16);
    return [number >> 8, number & 0xff];
  });
}
