/** The checksum, against the published check value and zlib's. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import * as zlib from "node:zlib";
import { crc32 } from "../../../../core/daemon/journal/crc32.ts";

test("it is that of IEEE 802.3: the check value of 123456789", () => {
  expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
  expect(crc32(new Uint8Array())).toBe(0);
});

test("it is zlib's, at once and in two parts", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, at) => {
      expect(crc32(bytes)).toBe(zlib.crc32(bytes));
      expect(crc32(bytes.subarray(at), crc32(bytes.subarray(0, at)))).toBe(zlib.crc32(bytes));
    }),
  );
});
