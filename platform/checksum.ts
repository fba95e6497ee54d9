/** Checksums. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { closeFile, O_RDONLY, openFile } from "./io/file_calls.ts";
import { sys } from "./kernel.ts";
import { must } from "./system_error.ts";

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

/** How much of a file is read at once, in bytes. */
const CHUNK = 256 * 1024;

/** SHA-256 of a file's content, in lower case hexadecimal digits. @throws SystemError */
export async function sha256OfFile(file: string): Promise<string> {
  const hash = sha256.create();
  const fd = openFile(file, O_RDONLY);
  try {
    const buffer = new Uint8Array(CHUNK);
    for (;;) {
      const length = must(() => sys.read(fd, buffer), `read ${file}`);
      if (length === 0) return bytesToHex(hash.digest());
      hash.update(buffer.subarray(0, length));
      // Whatever else is to be done need not wait for the whole of it.
      await new Promise((resolve) => setTimeout(resolve));
    }
  } finally {
    closeFile(fd);
  }
}

/** Likewise, of a text as UTF-8. */
export function sha256OfText(text: string): string {
  return bytesToHex(sha256(new TextEncoder().encode(text)));
}
