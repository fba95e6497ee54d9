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

  test("strings: a NUL ends each; what follows the last one is a string too", () => {
    const bytes = (text: string) => new TextEncoder().encode(text);
    expect(splitText(bytes(""))).toEqual([]);
    expect(splitText(bytes("\0"))).toEqual([""]);
    expect(splitText(bytes("a\0\0b"))).toEqual(["a", "", "b"]);
    expect(splitText(bytes("a\0b\0"))).toEqual(["a", "b"]);
    fc.assert(fc.property(fc.array(fc.string()), (parts) => {
      const clean = parts.map((part) => part.replaceAll("\0", ""));
      expect(splitNul(nulTerminated(...clean)).map((part) => new TextDecoder().decode(part)))
        .toEqual(clean);
    }));
  });
});
