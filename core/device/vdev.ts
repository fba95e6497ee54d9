/** Virtual device numbers: `xvda` and its like as the devid of a disk (xen-vbd-interface(7)). Pure. */

/** Largest devid. */
const DEVID_MAX = 2 ** 31 - 1;

/** What is accepted, for messages. */
export const VDEV_FORMS = "xvda, xvda1, d0p1, hda, sda, or a number such as 51712 or 0xca00";

/** The devid of a virtual device; undefined when it is none. */
export function parseVdev(text: string): number | undefined {
  if (/^(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/i.test(text)) {
    const isOctal = /^0[0-7]/.test(text);
    const value = isOctal ? parseInt(text, 8) : Number(text);
    return value <= DEVID_MAX ? value : undefined;
  }
  const numbered = /^d(0|[1-9]\d{0,6})p(0|[1-9]\d{0,2})$/.exec(text);
  if (numbered !== null) return xvd(Number(numbered[1]), Number(numbered[2]));
  const named = /^(xvd|hd|sd)([a-z]{1,5})([1-9]\d{0,2})?$/.exec(text);
  if (named === null) return undefined;
  const [, family, letters = "", digits = "0"] = named;
  const disk = diskOf(letters);
  const partition = Number(digits);
  if (family === "xvd") return xvd(disk, partition);
  if (family === "sd") {
    return disk <= 15 && partition <= 15 ? 8 << 8 | disk << 4 | partition : undefined;
  }
  if (disk > 3 || partition > 63) return undefined;
  return (disk < 2 ? 3 : 22) << 8 | (disk & 1) << 6 | partition;
}

function xvd(disk: number, partition: number): number | undefined {
  if (disk <= 15 && partition <= 15) return 202 << 8 | disk << 4 | partition;
  if (disk < 2 ** 20 && partition <= 255) return 1 << 28 | disk << 8 | partition;
  return undefined;
}

/** `a` is 0, `z` is 25, `aa` is 26. */
function diskOf(letters: string): number {
  return [...letters].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 96, 0) - 1;
}
