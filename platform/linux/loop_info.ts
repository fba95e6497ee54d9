/** Layout of what the loop driver's ioctls take (linux/loop.h), on little-endian 64-bit machines. */

/** Requests (linux/loop.h). */
export const LOOP_SET_FD = 0x4c00;
export const LOOP_CLR_FD = 0x4c01;
export const LOOP_SET_STATUS64 = 0x4c04;
export const LOOP_GET_STATUS64 = 0x4c05;
export const LOOP_SET_DIRECT_IO = 0x4c08;
/** Linux 5.8 and later. */
export const LOOP_CONFIGURE = 0x4c0a;
export const LOOP_CTL_GET_FREE = 0x4c82;

/** linux/major.h */
export const LOOP_MAJOR = 7;

/** `LO_FLAGS_…` */
const READ_ONLY = 1;
const DIRECT_IO = 16;

/** `LO_NAME_SIZE`; the last byte is a NUL. */
const NAME_SIZE = 64;
/** Longest name, in bytes. */
export const LOOP_NAME_MAX = NAME_SIZE - 1;

/** Bytes in each sector of the devices made here: what the driver itself takes for default. */
const SECTOR = 512;

/** `struct loop_info64` */
const INFO_SIZE = 232;
const DEVICE = 0;
const INODE = 8;
const OFFSET = 24;
const SIZE_LIMIT = 32;
const NUMBER = 40;
const FLAGS = 52;
const FILE_NAME = 56;

/** `struct loop_config` */
const CONFIG_SIZE = 304;
const CONFIG_FD = 0;
const CONFIG_BLOCK_SIZE = 4;
const CONFIG_INFO = 8;

/** How a loop device is to be set up. */
export interface LoopSettings {
  /** ASCII, at most {@link LOOP_NAME_MAX} characters. */
  readonly name: string;
  readonly readOnly: boolean;
  readonly directIo: boolean;
}

/** What the driver says of an attached device. */
export interface LoopStatus {
  /** `<st_dev>:<st_ino>` of its file. */
  readonly file: string;
  readonly name: string;
  readonly number: number;
  readonly readOnly: boolean;
  /** Whether it carries the file from its start to its end. */
  readonly isWhole: boolean;
}

/** A `struct loop_info64` for LOOP_SET_STATUS64. */
export function loopInfo({ name, readOnly, directIo }: LoopSettings): Uint8Array {
  const bytes = new Uint8Array(INFO_SIZE);
  const flags = (readOnly ? READ_ONLY : 0) | (directIo ? DIRECT_IO : 0);
  new DataView(bytes.buffer).setUint32(FLAGS, flags, true);
  bytes.set(new TextEncoder().encode(name).subarray(0, LOOP_NAME_MAX), FILE_NAME);
  return bytes;
}

/** A `struct loop_config` for LOOP_CONFIGURE. */
export function loopConfig(file: number, settings: LoopSettings): Uint8Array {
  const bytes = new Uint8Array(CONFIG_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(CONFIG_FD, file, true);
  view.setUint32(CONFIG_BLOCK_SIZE, SECTOR, true);
  bytes.set(loopInfo(settings), CONFIG_INFO);
  return bytes;
}

/** Memory for LOOP_GET_STATUS64. */
export function emptyLoopInfo(): Uint8Array {
  return new Uint8Array(INFO_SIZE);
}

/** What LOOP_GET_STATUS64 has written. */
export function loopStatus(info: Uint8Array): LoopStatus {
  const view = new DataView(info.buffer, info.byteOffset);
  const name = info.subarray(FILE_NAME, FILE_NAME + NAME_SIZE);
  const end = name.indexOf(0);
  return {
    file: `${view.getBigUint64(DEVICE, true)}:${view.getBigUint64(INODE, true)}`,
    name: new TextDecoder().decode(name.subarray(0, end < 0 ? NAME_SIZE : end)),
    number: view.getUint32(NUMBER, true),
    readOnly: (view.getUint32(FLAGS, true) & READ_ONLY) !== 0,
    isWhole: view.getBigUint64(OFFSET, true) === 0n && view.getBigUint64(SIZE_LIMIT, true) === 0n,
  };
}
