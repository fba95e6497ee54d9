/** Frames: what comes back, in whatever pieces; and what cannot come from anybody sound. */
import { describe, expect, test } from "bun:test";
import { heapStats } from "bun:jsc";
import * as fc from "fast-check";
import {
  encodeFrame,
  FRAME_MAX,
  FrameParser,
  type Message,
} from "../../../plugins/process/frames.ts";
import { parseMessage } from "../../../plugins/process/messages.ts";

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: "binary" }).filter((text) => text.isWellFormed()),
    fc.integer(),
    // MessagePack has integers, and those no negative zero.
    fc.double({ noNaN: true }).map((number) => number + 0),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("any"), { maxLength: 5 }),
    fc.dictionary(fc.string({ maxLength: 8 }).filter((key) => key !== "__proto__"), tie("any"), {
      maxKeys: 5,
      noNullPrototype: true,
    }),
  ),
})).any;
const message = fc.dictionary(fc.string().filter((key) => key !== "__proto__"), value, {
  noNullPrototype: true,
});

describe("frames", () => {
  test("come back as they were, in whatever pieces they arrive", () => {
    fc.assert(fc.property(
      fc.array(message, { maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
      (messages, sizes) => {
        const bytes = Buffer.concat(messages.map((one) => encodeFrame(one as Message)));
        const parser = new FrameParser();
        const got: Message[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length]!;
          got.push(...parser.push(new Uint8Array(bytes.subarray(at, at + size))));
          at += size;
        }
        expect(got).toEqual(messages as Message[]);
        expect(parser.pending).toBe(0);
      },
    ));
  });

  test("garbage is refused in words, and nothing else happens", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (body) => {
        const frame = new Uint8Array(4 + body.length);
        new DataView(frame.buffer).setUint32(0, body.length);
        frame.set(body, 4);
        try {
          for (const one of new FrameParser().push(frame)) parseMessage(one);
        } catch (error) {
          expect((error as Error).name).toBe("ProtocolFault");
        }
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["no length", [0, 0, 0, 0], /a frame of 0 bytes/],
    ["too long", [0, 0x10, 0, 1], /a frame of 1048577 bytes; expected 1 to 1048576/],
    ["text", [...Buffer.from('{"ty')], /text in place of a frame/],
    ["an extension", [0, 0, 0, 3, 0xd4, 1, 0], /type d4 \(extensions/],
    ["something behind it", [0, 0, 0, 2, 0x80, 0x80], /something behind it/],
    ["a text that is cut off", [0, 0, 0, 2, 0xa5, 0x61], /ends too early/],
    ["nested", [0, 0, 0, 40, ...new Array(40).fill(0x91)], /nested deeper than 16/],
    ["a list", [0, 0, 0, 1, 0x90], /no map/],
  ])("%s", (_, bytes, reason) => {
    expect(() => new FrameParser().push(new Uint8Array(bytes))).toThrow(reason);
  });

  test("what is too long is not sent", () => {
    expect(() => encodeFrame({ text: "x".repeat(FRAME_MAX) })).toThrow(/at most 1048576/);
  });

  test("a key cannot change what objects are", () => {
    const frame = encodeFrame(JSON.parse('{"__proto__": {"type": "hello"}}'));
    const [got] = new FrameParser().push(frame);
    expect(Object.getPrototypeOf(got)).toBe(Object.prototype);
    expect(() => parseMessage(got!)).toThrow(/expected hello, done/);
  });
});

test("a frame that comes a byte at a time takes no more memory than its bytes", () => {
  const parser = new FrameParser();
  const frame = encodeFrame({ type: "log", text: "x".repeat(200_000) });
  const arrays = () => {
    Bun.gc(true);
    return heapStats().objectTypeCounts["Uint8Array"] ?? 0;
  };
  const before = arrays();
  for (const byte of frame.subarray(0, -1)) expect(parser.push(Uint8Array.of(byte))).toEqual([]);
  expect(arrays() - before).toBeLessThan(5_000);
  expect(parser.pending).toBe(frame.length - 5);
  expect(parser.push(frame.subarray(-1))).toEqual([{ type: "log", text: "x".repeat(200_000) }]);
});
