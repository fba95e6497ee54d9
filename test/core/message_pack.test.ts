/** Our MessagePack, held to a library's. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { Packr } from "msgpackr/pack";
import { MessagePackFault, pack, unpack } from "../../core/message_pack.ts";

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
