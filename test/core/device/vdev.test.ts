/** Virtual device numbers, against the table of xen-vbd-interface(7). */
import { describe, expect, test } from "bun:test";
import { parseVdev } from "../../../core/device/vdev.ts";

describe("a virtual device", () => {
  test.each([
    ["xvda", 51712],
    ["xvda1", 51713],
    ["xvdp15", 51967],
    ["d0p0", 51712],
    ["d15p15", 51967],
    // Beyond 16 disks or 15 partitions: the extended encoding.
    ["xvdq", (1 << 28) | (16 << 8)],
    ["d16p0", (1 << 28) | (16 << 8)],
    ["xvda16", (1 << 28) | 16],
    ["xvdaa", (1 << 28) | (26 << 8)],
    ["d1048575p255", (1 << 28) | (1048575 << 8) | 255],
    ["hda", 768],
    ["hdb1", 768 + 64 + 1],
    ["hdc", 5632],
    ["hdd63", 5632 + 64 + 63],
    ["sda", 2048],
    ["sdp15", 2048 + 255],
    ["51712", 51712],
    ["0xCA00", 51712],
    ["0145000", 51712],
    ["0", 0],
  ])("%s is %d", (text, devid) => {
    expect(parseVdev(text)).toBe(devid);
  });

  test.each([
    ...["", "xvd", "xvda01", "xvda256", "XVDA", "hde", "hda64", "sdq", "sda16", "vda"],
    ...[
      "d0",
      "d0p",
      "d00p0",
      "d1048576p0",
      "d0p256",
      "xvda ",
      " 5",
      "-1",
      "1.5",
      "089",
      "0x",
      "1e3",
    ],
    ...["2147483648", "xvdzzzzzz"],
  ])("%j is none", (text) => {
    expect(parseVdev(text)).toBeUndefined();
  });
});
