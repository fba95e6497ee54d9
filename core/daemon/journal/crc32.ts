/** A checksum for records of the journal. */

/** The polynomial, bits reversed. */
const POLYNOMIAL = 0xedb88320;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? byte >>> 1 ^ POLYNOMIAL : byte >>> 1;
  return byte;
});

/**
 * CRC-32, as in IEEE 802.3 and zlib, of some bytes: 0 … 2³²-1. `before` is that of the bytes in front
 * of them, if they are not the first.
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  let sum = ~before;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 0xff]! ^ sum >>> 8;
  return ~sum >>> 0;
}
