/** The wire format. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  concat,
  encodeMessage,
  type Message,
  MessageParser,
  nulTerminated,
  splitNul,
  splitText,
  toBytes,
  toText,
} from "../../../core/xenstore/codec.ts";
import { ProtocolError } from "../../../core/xenstore/errors.ts";

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const messages = fc.array(
  fc.record({
    type: u32,
    reqId: u32,
    txId: u32,
    payload: fc.uint8Array({ maxLength: 200 }),
  }),
  { maxLength: 8 },
);

/** As plain data: a payload may be a view of a larger buffer. */
function plain({ type, reqId, txId, payload }: Message) {
  return { type, reqId, txId, payload: [...payload] };
}

describe("codec", () => {
  test("the example of the specification", () => {
    const bytes = encodeMessage({ type: 2, reqId: 7, txId: 0, payload: nulTerminated("/a") });
    expect(Buffer.from(bytes).toString("hex")).toBe("020000000700000000000000030000002f6100");
  });

  test("round trip, however the stream is cut", () => {
    fc.assert(
      fc.property(messages, fc.array(fc.nat({ max: 2000 })), (list, cuts) => {
        const stream = concat(list.map(encodeMessage));
        const parser = new MessageParser(4096);
        const found: Message[] = [];
        const edges = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))]
          .sort((a, b) => a - b);
        let from = 0;
        for (const to of [...edges, stream.length]) {
          found.push(...parser.push(stream.slice(from, to)));
          from = to;
        }
        expect(found.map(plain)).toEqual(list.map(plain));
        expect(parser.buffered).toBe(0);
      }),
      { numRuns: 2_000 },
    );
  });

  test("byte by byte", () => {
    fc.assert(
      fc.property(messages, (list) => {
        const parser = new MessageParser(4096);
        const found = [...concat(list.map(encodeMessage))].flatMap((byte) =>
          parser.push(Uint8Array.of(byte))
        );
        expect(found.map(plain)).toEqual(list.map(plain));
      }),
      { numRuns: 300 },
    );
  });

  test("an incomplete message is kept, and no more of it than came", () => {
    const whole = encodeMessage({ type: 2, reqId: 1, txId: 0, payload: new Uint8Array(100) });
    const parser = new MessageParser(4096);
    expect(parser.push(whole.slice(0, 50))).toEqual([]);
    expect(parser.buffered).toBe(50);
    expect(parser.push(whole.slice(50))).toHaveLength(1);
    expect(parser.buffered).toBe(0);
  });

  test("a payload within one chunk is not copied", () => {
    const bytes = encodeMessage({ type: 2, reqId: 1, txId: 0, payload: new Uint8Array(10) });
    const [message] = new MessageParser(4096).push(bytes);
    expect(message?.payload.buffer).toBe(bytes.buffer);
  });

  test("a header that announces too much is refused, at the limit and one above", () => {
    const header = (length: number) => {
      const bytes = new Uint8Array(16);
      new DataView(bytes.buffer).setUint32(12, length, true);
      return bytes;
    };
    expect(new MessageParser(100).push(header(100))).toEqual([]);
    expect(() => new MessageParser(100).push(header(101))).toThrow(ProtocolError);
    expect(() => new MessageParser(100).push(header(0xffffffff)))
      .toThrow(/announces 4294967295 bytes of payload; at most 100/);
  });

  test("messages before an over-long one are of no use either; where it is cut does not matter", () => {
    const good = encodeMessage({ type: 2, reqId: 1, txId: 0, payload: new Uint8Array(3) });
    const bad = new Uint8Array(16).fill(0xff);
    const stream = concat([good, bad]);
    for (let cut = 0; cut <= stream.length; cut++) {
      const parser = new MessageParser(4096);
      expect(() => {
        parser.push(stream.slice(0, cut));
        parser.push(stream.slice(cut));
      }).toThrow(ProtocolError);
    }
  });

  test("empty chunks change nothing, and empty payloads are whole at once", () => {
    const parser = new MessageParser(4096);
    expect(parser.push(new Uint8Array())).toEqual([]);
    const bytes = encodeMessage({ type: 6, reqId: 1, txId: 0, payload: new Uint8Array() });
    expect(parser.push(bytes.slice(0, 15))).toEqual([]);
    expect(parser.push(new Uint8Array())).toEqual([]);
    expect(parser.push(bytes.slice(15)).map(plain)).toEqual([
      { type: 6, reqId: 1, txId: 0, payload: [] },
    ]);
    expect(parser.buffered).toBe(0);
  });

  test("a long payload in many pieces is joined once", () => {
    const size = 8 * 1024 * 1024;
    const payload = new Uint8Array(size).fill(7);
    const bytes = encodeMessage({ type: 1, reqId: 1, txId: 0, payload });
    const parser = new MessageParser(size);
    const started = performance.now();
    const found: Message[] = [];
    for (let at = 0; at < bytes.length; at += 1024) {
      found.push(...parser.push(bytes.subarray(at, at + 1024)));
    }
    expect(found.map((message) => message.payload.length)).toEqual([size]);
    // Joining at each piece would move 32 GB.
    expect(performance.now() - started).toBeLessThan(1_500);
  });

  test("what is a view of a part of a buffer is read where it lies", () => {
    const bytes = encodeMessage({ type: 2, reqId: 7, txId: 9, payload: toBytes("abc") });
    const padded = concat([new Uint8Array(3), bytes, new Uint8Array(5)]);
    const [message] = new MessageParser(100).push(padded.subarray(3, 3 + bytes.length));
    expect(plain(message!)).toEqual({ type: 2, reqId: 7, txId: 9, payload: [97, 98, 99] });
  });

  test("text survives, a byte order mark and NULs included", () => {
    fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(toText(toBytes(text))).toBe(text);
    }));
    expect(toText(toBytes("\ufeffa\0"))).toBe("\ufeffa\0");
    expect(toText(Uint8Array.of(0xff))).toBe("\ufffd");
  });

  test("strings: a NUL ends each; what follows the last one is a string too", () => {
    const bytes = (text: string) => new TextEncoder().encode(text);
    expect(splitText(bytes(""))).toEqual([]);
    expect(splitText(bytes("\0"))).toEqual([""]);
    expect(splitText(bytes("a\0\0b"))).toEqual(["a", "", "b"]);
    expect(splitText(bytes("a\0b\0"))).toEqual(["a", "b"]);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 20 }), (some) => {
      // All at once, and one by one; also what is no UTF-8, and is cut by a NUL.
      const payload = some.map((byte) => byte % 5 === 0 ? 0 : byte);
      expect(splitText(payload)).toEqual(splitNul(payload).map(toText));
    }));
    fc.assert(fc.property(fc.array(fc.string()), (parts) => {
      const clean = parts.map((part) => part.replaceAll("\0", ""));
      expect(splitNul(nulTerminated(...clean)).map((part) => new TextDecoder().decode(part)))
        .toEqual(clean);
    }));
  });
});
