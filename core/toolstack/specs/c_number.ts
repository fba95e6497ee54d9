/** Numbers as C has them. Pure. */

/**
 * A number as C reads it where the base is left to the digits: decimal, hexadecimal after `0x`,
 * octal after `0`. No sign, no blanks. 0 … `max`, or undefined.
 */
export function parseCNumber(text: string, max: number): number | undefined {
  const octal = /^0([0-7]{1,20})$/.exec(text)?.[1];
  if (octal === undefined && !/^(0|[1-9]\d{0,15}|0[xX][\da-fA-F]{1,13})$/.test(text)) {
    return undefined;
  }
  const value = octal === undefined ? Number(text) : parseInt(octal, 8);
  return value <= max ? value : undefined;
}
