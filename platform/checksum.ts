/** SHA-256. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { closeFile, O_RDONLY, openFile } from "./io/file_calls.ts";
import { sys } from "./kernel.ts";
import { must } from "./system_error.ts";

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
  return sha256OfBytes(new TextEncoder().encode(text));
}

/** Likewise, of bytes. */
export function sha256OfBytes(bytes: Uint8Array): string {
  return bytesToHex(sha256(bytes));
}
