/** Hardware addresses in specifications. Pure. */

/** Xen's part of an address (libxl_nic.c). */
const XEN_OUI = [0x00, 0x16, 0x3e] as const;

/**
 * Six groups of hexadecimal digits, each 0 … ff, between them any single character that is none.
 * @returns the address in the common form, six lower-case pairs with colons; undefined if it is none
 */
export function parseMac(text: string): string | undefined {
  // No x either: after a 0 it would begin another notation.
  const groups = text.split(/[ !-/:-@G-WYZ[-`g-wyz{-~]/);
  if (groups.length !== 6) return undefined;
  if (!groups.every((group) => /^0*[\da-f]{1,2}$/i.test(group) && group.length <= 16)) {
    return undefined;
  }
  return formatMac(groups.map((group) => parseInt(group, 16)));
}

/** Six lower-case pairs with colons. */
export function formatMac(bytes: Iterable<number>): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/**
 * An address for an interface that was given none.
 * @param random three random bytes, of which the first one's highest bit is not used
 */
export function randomMac(random: Uint8Array): string {
  const [first = 0, second = 0, third = 0] = random;
  return formatMac([...XEN_OUI, first & 0x7f, second, third]);
}
