/** Questions to any block device (linux/fs.h; the encoding is that of x86-64 and aarch64). */
import type { Ioctl } from "./ioctl.ts";
import { hasCode } from "../system_error.ts";

/** `_IO(0x12, 94)` */
const BLKROGET = 0x125e;
/** `_IOR(0x12, 114, size_t)` */
const BLKGETSIZE64 = 0x80081272;
/** `_IOR(0x12, 128, __u64)`, Linux 5.15 and later */
const BLKGETDISKSEQ = 0x80081280;

/** Whether the kernel refuses to write it. */
export function isReadOnly(ioctl: Ioctl, fd: number, node: string): boolean {
  const answer = new Uint8Array(4);
  ioctl(`BLKROGET ${node}`, fd, BLKROGET, answer);
  return answer.some((byte) => byte !== 0);
}

/** In bytes. */
export function sizeOf(ioctl: Ioctl, fd: number, node: string): number {
  return number64(ioctl, `BLKGETSIZE64 ${node}`, fd, BLKGETSIZE64);
}

/** Number of the disk's present use; undefined on older kernels. */
export function diskSequence(ioctl: Ioctl, fd: number, node: string): number | undefined {
  try {
    return number64(ioctl, `BLKGETDISKSEQ ${node}`, fd, BLKGETDISKSEQ);
  } catch (error) {
    if (hasCode(error, "ENOTTY", "EINVAL", "ENOSYS")) return undefined;
    throw error;
  }
}

function number64(ioctl: Ioctl, what: string, fd: number, request: number): number {
  const answer = new Uint8Array(8);
  ioctl(what, fd, request, answer);
  return Number(new DataView(answer.buffer).getBigUint64(0, true));
}
