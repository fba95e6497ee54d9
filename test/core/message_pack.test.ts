/** Our MessagePack, held to a library's. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { Packr } from "msgpackr/pack";
import { DEPTH_MAX, MessagePackFault, pack, unpack } from "../../core/message_pack.ts";

const library = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  encodeUndefinedAsNil: true,
  int64AsType: "number",
});

const key = fc.string({ unit: "binary", maxLength: 40 })
  .filter((text) => text !== "__proto__" && text.isWellFormed());
const text = fc.string({ unit: "binary", maxLength: 300 }).filter((text) => text.isWellFormed());
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 5 },
    text,
    fc.integer(),
    fc.constantFrom(-1, 31, 32, -32, -33, 127, 128, 255, 256, -128, -129, 65535, 65536, -32769),
    fc.constantFrom(2 ** 31, -(2 ** 31), -(2 ** 31) - 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53),
    fc.double({ noNaN: true }),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("any"), { maxLength: 20 }),
    fc.dictionary(key, tie("any"), { maxKeys: 20, noNullPrototype: true }),
  ),
})).any;

describe("what is written", () => {
  test("the library reads", () => {
    fc.assert(fc.property(value, (given) => {
      expect(plain(library.unpack(pack(given)))).toEqual(plain(given));
    }));
  });

  test("is read again, to the sign of a zero", () => {
    fc.assert(fc.property(value, (given) => expect(unpack(pack(given))).toEqual(given as never)));
    expect(Object.is(unpack(pack(-0)), -0)).toBe(true);
    expect(unpack(pack(undefined))).toBeNull();
    const long = { text: "x".repeat(70_000), many: new Array(70_000).fill(1) };
    expect(unpack(pack(long))).toEqual(long);
    expect(library.unpack(pack(long))).toEqual(long);
  });

  test.each([
    ["a function", () => {}, TypeError],
    ["a symbol", Symbol(), TypeError],
    ["a large integer", 1n, TypeError],
    [
      "what contains itself",
      (() => {
        const list: unknown[] = [];
        list.push(list);
        return list;
      })(),
      RangeError,
    ],
  ])("%s is refused", (_, given, kind) => expect(() => pack(given)).toThrow(kind));
});

test.each<[string, unknown, number[]]>([
  ["127", 127, [0x7f]],
  ["128", 128, [0xcc, 0x80]],
  ["255", 255, [0xcc, 0xff]],
  ["256", 256, [0xcd, 1, 0]],
  ["65,535", 65_535, [0xcd, 0xff, 0xff]],
  ["65,536", 65_536, [0xce, 0, 1, 0, 0]],
  ["2³²-1", 2 ** 32 - 1, [0xce, 0xff, 0xff, 0xff, 0xff]],
  ["2³²", 2 ** 32, [0xcb, 0x41, 0xf0, 0, 0, 0, 0, 0, 0]],
  ["-1", -1, [0xff]],
  ["-32", -32, [0xe0]],
  ["-33", -33, [0xd0, 0xdf]],
  ["-128", -128, [0xd0, 0x80]],
  ["-129", -129, [0xd1, 0xff, 0x7f]],
  ["-32,768", -32_768, [0xd1, 0x80, 0]],
  ["-32,769", -32_769, [0xd2, 0xff, 0xff, 0x7f, 0xff]],
  ["-2³¹", -(2 ** 31), [0xd2, 0x80, 0, 0, 0]],
  ["-2³¹-1", -(2 ** 31) - 1, [0xcb, 0xc1, 0xe0, 0, 0, 0, 0x20, 0, 0]],
  ["a text of 31 bytes", "x".repeat(31), [0xbf]],
  ["a text of 32 bytes", "x".repeat(32), [0xd9, 32]],
  ["a text of 255 bytes", "x".repeat(255), [0xd9, 255]],
  ["a text of 256 bytes", "x".repeat(256), [0xda, 1, 0]],
  ["a text of 65,535 bytes", "x".repeat(65_535), [0xda, 0xff, 0xff]],
  ["a text of 65,536 bytes", "x".repeat(65_536), [0xdb, 0, 1, 0, 0]],
  ["255 bytes", new Uint8Array(255), [0xc4, 255]],
  ["256 bytes", new Uint8Array(256), [0xc5, 1, 0]],
  ["65,535 bytes", new Uint8Array(65_535), [0xc5, 0xff, 0xff]],
  ["65,536 bytes", new Uint8Array(65_536), [0xc6, 0, 1, 0, 0]],
  ["a list of 15", Array(15).fill(0), [0x9f]],
  ["a list of 16", Array(16).fill(0), [0xdc, 0, 16]],
  ["a list of 65,535", Array(65_535).fill(0), [0xdc, 0xff, 0xff]],
  ["a list of 65,536", Array(65_536).fill(0), [0xdd, 0, 1, 0, 0]],
  ["a map of 15", mapOf(15), [0x8f]],
  ["a map of 16", mapOf(16), [0xde, 0, 16]],
  ["a map of 65,535", mapOf(65_535), [0xde, 0xff, 0xff]],
  ["a map of 65,536", mapOf(65_536), [0xdf, 0, 1, 0, 0]],
])("sizes at their ends: %s", (_, given, head) => {
  const bytes = pack(given);
  expect([...bytes.subarray(0, head.length)]).toEqual(head);
  expect(unpack(bytes)).toEqual(given as never);
  expect(plain(library.unpack(bytes))).toEqual(plain(given));
});

function mapOf(count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, 0]));
}

test("as deep as is allowed, and one deeper", () => {
  const nested = (levels: number): unknown => levels === 0 ? 1 : [nested(levels - 1)];
  expect(unpack(pack(nested(DEPTH_MAX)))).toEqual(nested(DEPTH_MAX) as never);
  expect(() => pack(nested(DEPTH_MAX + 1))).toThrow(RangeError);
  const deeper = new Uint8Array(DEPTH_MAX + 2).fill(0x91);
  deeper[DEPTH_MAX + 1] = 1;
  expect(() => unpack(deeper)).toThrow(MessagePackFault);
});

test("as many values as there may be, and one more", () => {
  const four = pack({ a: [1] });
  expect(unpack(four, 4)).toEqual({ a: [1] });
  expect(() => unpack(four, 3)).toThrow(/more values/);
});

test("what the library writes is read", () => {
  fc.assert(fc.property(value, (given) => {
    expect(plain(unpack(library.pack(given)))).toEqual(plain(given));
  }));
});

test.each([
  ["64 bits", [0xcf, 0, 0, 0, 1, 0, 0, 0, 0], 2 ** 32],
  ["64 bits, signed", [0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], -2],
  ["a small float", [0xca, 0x3f, 0x80, 0, 0], 1],
  ["a key that is a number", [0x81, 1, 2], { "1": 2 }],
  ["a text that is no UTF-8", [0xa3, 0x61, 0xed, 0xa0], "a\ufffd\ufffd"],
  ["a mark of byte order", [0xa3, 0xef, 0xbb, 0xbf], "\ufeff"],
])("%s is read", (_, bytes, expected) => {
  expect(unpack(new Uint8Array(bytes))).toEqual(expected as never);
});

test("a key __proto__ is left out, and changes nothing", () => {
  const given = unpack(pack(JSON.parse('{"__proto__": {"a": 1}, "b": 2}')));
  expect(Object.getPrototypeOf(given)).toBe(Object.prototype);
  expect(given).toEqual({ b: 2 });
});

test("any bytes are a value or a fault", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        unpack(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(MessagePackFault);
      }
    }),
    { numRuns: 5000 },
  );
});

test.each([
  [[0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0]],
  [[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]],
])("an integer that no number is", (bytes) => {
  expect(() => unpack(new Uint8Array(bytes))).toThrow(/the integer -?9223372036854775808/);
});

test("what claims to be large costs nothing", () => {
  for (const type of [0xdd, 0xdf, 0xdb, 0xc6]) {
    expect(() => unpack(new Uint8Array([type, 0xff, 0xff, 0xff, 0xff, 0]))).toThrow("too early");
  }
});

/** Bytes as a list, a negative zero as zero: the library makes other classes, and has no such zero. */
function plain(value: unknown): unknown {
  if (typeof value === "number") return value + 0;
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
}
