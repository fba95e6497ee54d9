/** Checksums. */

/**
 * CRC-32, as in IEEE 802.3 and zlib, of some bytes: 0 … 2³²-1. `before` is that of the bytes in front of them, if they
 * are not the first.
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  return Bun.hash.crc32(bytes, before);
}

/** SHA-256 of a file's content, in lower case hexadecimal digits. @throws SystemError */
export async function sha256OfFile(file: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(file).stream()) hasher.update(chunk);
  return hasher.digest("hex");
}

/** Likewise, of a text as UTF-8. */
export function sha256OfText(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}
