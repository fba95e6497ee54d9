/** What kind of program a file is. */
import { readAt } from "../../platform/io/file_calls.ts";

/** Its header and, with compilers' layout, the list of its parts. In bytes. */
const HEAD = 4096;
/** A part that names the loader (elf.h). */
const PT_INTERP = 3;

/**
 * Whether a program asks for a loader of shared libraries; false for a static one, and for a file that is
 * no ELF program of 64 bits in little-endian order.
 * @throws SystemError when it cannot be read
 */
export function needsLoader(file: string): boolean {
  const bytes = readAt(file, 0, HEAD);
  const isElf = [0x7f, 0x45, 0x4c, 0x46, 2, 1].every((byte, at) => bytes[at] === byte);
  if (!isElf || bytes.length < 64) return false;
  const head = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const first = Number(head.getBigUint64(0x20, true));
  const [size, count] = [head.getUint16(0x36, true), head.getUint16(0x38, true)];
  for (let at = first; at < first + size * count && at + 4 <= bytes.length; at += size) {
    if (head.getUint32(at, true) === PT_INTERP) return true;
  }
  return false;
}
