/** Virtual disk numbers. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { formatVdev } from "../../../../../core/xen/device_label.ts";
import { DISK_DEVID_MAX, parseVdev } from "../../../../../core/toolstack/specs/disk/vdev.ts";
import { faultOf } from "../../errors.ts";

test.each(
  [
    ["xvda", 51712],
    ["xvda1", 51713],
    ["xvdp15", 51967],
    ["xvdb2", (202 << 8) | 16 | 2],
    ["xvdq", (1 << 28) | (16 << 8)],
    ["xvda16", (1 << 28) | 16],
    ["xvdtq37", (1 << 28) | (536 << 8) | 37],
    ["d0p0", 51712],
    ["d1p2", 51730],
    ["d536p37", (1 << 28) | (536 << 8) | 37],
    ["d1048575p255", (1 << 29) - 1],
    ["xvdbgqcz255", undefined],
    ["xvdbgqex", undefined],
    ["hda", 768],
    ["hda63", 768 + 63],
    ["hdb", 768 + 64],
    ["hdc", 5632],
    ["hdd1", 5632 + 65],
    ["hde", undefined],
    ["hda64", undefined],
    ["sda", 2048],
    ["sdp15", 2303],
    ["sdq", undefined],
    ["sda16", undefined],
    ["0", 0],
    ["51712", 51712],
    ["0xca00", 51712],
    ["0xCA00", 51712],
    ["0145000", 51712],
    ["2147483647", 2147483647],
    ["2147483648", undefined],
    ["-1", undefined],
    ["+1", undefined],
    ["08", undefined],
    ["0x", undefined],
    ["", undefined],
    [" xvda", undefined],
    ["xvda ", undefined],
    ["xvd", undefined],
    ["xvd1", undefined],
    ["xvda0", undefined],
    ["xvda01", undefined],
    ["xvda256", undefined],
    ["xvdA", undefined],
    ["xvda1b", undefined],
    ["d0", undefined],
    ["d0p256", undefined],
    ["d1048576p0", undefined],
    ["d-1p0", undefined],
    ["vda", undefined],
    ["xvdaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", undefined],
  ] as const,
)("%s is %j", (vdev, devid) => { // deno-fmt-ignore
  if (devid !== undefined) return expect(parseVdev(vdev)).toBe(devid);
  expect(faultOf(() => parseVdev(vdev))[0]).toBe("invalid or unsupported virtual disk identifier");
});

test("the largest disk has letters", () => {
  const last = formatVdev((1 << 28) | (0xfffff << 8));
  expect(parseVdev(last)).toBe((1 << 28) | (0xfffff << 8));
  expect(last).toMatch(/^xvd[a-z]{5}$/);
});

test("names of common disks", () => {
  const names = [51712, 51713, 51728, (1 << 28) | 4096, 768, 769, 832, 5632, 5696, 2048, 2065];
  expect(names.map(formatVdev)).toEqual(
    ["xvda", "xvda1", "xvdb", "xvdq", "hda", "hda1", "hdb", "hdc", "hdd", "sda", "sdb1"],
  );
  // Numbers without a name, or with one that means another number.
  for (const devid of [0, 5, 1 << 28, (1 << 28) | 0xf0f, 768 + 128, 1 << 30, DISK_DEVID_MAX]) {
    expect(formatVdev(devid)).toBe(String(devid));
  }
});

test("every number is printed as what is read back as it", () => {
  const devid = fc.oneof(
    fc.nat({ max: DISK_DEVID_MAX }),
    fc.nat({ max: 0xffff }),
    fc.nat({ max: (1 << 28) - 1 }).map((low) => (1 << 28) | low),
  );
  fc.assert(
    fc.property(devid, (number) => {
      expect(parseVdev(formatVdev(number))).toBe(number);
    }),
    { numRuns: 5_000 },
  );
});

test("any text is a number that fits, or refused with our own error", () => {
  const part = fc.constantFrom("xvd", "hd", "sd", "d", "p", "a", "zz", "0", "1", "63", "0x1f", "-");
  const text = fc.oneof(
    fc.array(part, { maxLength: 5 }).map((parts) => parts.join("")),
    fc.string({ maxLength: 8 }),
  );
  fc.assert(
    fc.property(text, (vdev) => {
      try {
        const devid = parseVdev(vdev);
        expect(Number.isInteger(devid) && devid >= 0 && devid <= DISK_DEVID_MAX).toBe(true);
      } catch (error) {
        expect((error as Error).name).toBe("SpecError");
      }
    }),
    { numRuns: 5_000 },
  );
});
