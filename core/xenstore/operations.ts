/**
 * Message types of the xenstore wire protocol (xen/include/public/io/xs_wire.h).
 */

/** Type numbers of requests, replies and events. */
export const Op = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22,
  GET_FEATURE: 23,
  SET_FEATURE: 24,
  GET_QUOTA: 25,
  SET_QUOTA: 26,
} as const;

const names = new Map<number, string>(Object.entries(Op).map(([name, code]) => [code, name]));

/** The name of a type number, or `type N` for one that the protocol does not define. */
export function opName(type: number): string {
  return names.get(type) ?? `type ${type}`;
}

/** Bytes of the header that precedes every payload. */
export const HEADER_SIZE = 16;

/** Largest payload of a request (XENSTORE_PAYLOAD_MAX in xs_wire.h), in bytes. */
export const PAYLOAD_MAX = 4096;

/**
 * Largest payload through the Linux device, in bytes: the driver keeps header and payload in one
 * buffer of 4096 (drivers/xen/xenbus/xenbus_dev_frontend.c).
 */
export const DEVICE_PAYLOAD_MAX = PAYLOAD_MAX - HEADER_SIZE;
