/** CRC-32 as in IEEE 802.3 and zlib. */

/**
 * The checksum of some bytes, 0 … 2³²-1. `before` is that of the bytes in front of them, if they
 * are not the first.
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  return Bun.hash.crc32(bytes, before);
}
