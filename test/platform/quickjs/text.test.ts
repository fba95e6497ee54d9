/**
 * The small binary's decoder is held to the runtime's own: guests control these bytes. The rest of what
 * it brings by itself is tried beside it. The host in C is stood in for.
 */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import type { Host } from "../../../platform/quickjs/host.ts";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const standIn: Partial<Host> = {
  text(bytes) {
    try {
      return strict.decode(bytes);
    } catch {
      return null;
    }
  },
  utf8: (text) => new TextEncoder().encode(text).buffer as ArrayBuffer,
  now: () => performance.now(),
};
(globalThis as unknown as { __host: Partial<Host> }).__host = standIn;
const small = await import("../../../platform/quickjs/text.ts");
const { AbortController: Controller, AbortSignal: Signal, Event: SmallEvent, EventTarget: Target } =
  await import("../../../platform/quickjs/events.ts");

const RUNS = { numRuns: 2_000 };

/** Bytes around which decoders differ: leads, ends of ranges, surrogates, marks. */
const odd = fc.constantFrom(
  ...[0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbb, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0],
  ...[0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff],
);
const BOM = [0xef, 0xbb, 0xbf];

/** Texts as bytes, some of them changed, cut out or put in. */
const mutated = fc.tuple(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.array(fc.tuple(fc.nat(60), fc.nat(2), odd), { maxLength: 4 }),
).map(([text, changes]) => {
  const bytes = [...new TextEncoder().encode(text)];
  for (const [at, removed, byte] of changes) bytes.splice(at % (bytes.length + 1), removed, byte);
  return bytes;
});

const bytes = fc.tuple(
  fc.constantFrom([], BOM, BOM.slice(0, 2), [...BOM, ...BOM]),
  fc.oneof(mutated, fc.array(odd, { maxLength: 12 }), fc.array(fc.nat(255), { maxLength: 40 })),
).map(([before, after]) => new Uint8Array([...before, ...after]));

const options = fc.record({ fatal: fc.boolean(), ignoreBOM: fc.boolean() });

/** What a decoder makes of it all; the kind of an error counts. */
function outcome(decode: () => string): string {
  try {
    return `text ${JSON.stringify(decode())}`;
  } catch (error) {
    return (error as Error).name;
  }
}

describe("the decoder", () => {
  test("whole", () => {
    fc.assert(
      fc.property(bytes, options, (input, how) => {
        const ours = outcome(() => new small.TextDecoder("utf-8", how).decode(input));
        expect(ours).toBe(outcome(() => new TextDecoder("utf-8", how).decode(input)));
      }),
      RUNS,
    );
  });

  test("every pair of bytes, and every triple behind a lead of three", () => {
    const differ: string[] = [];
    const compare = (...input: number[]) => {
      const given = new Uint8Array(input);
      const ours = new small.TextDecoder().decode(given);
      if (ours !== new TextDecoder().decode(given)) differ.push(input.join(" "));
    };
    for (let a = 0; a < 256; a++) for (let b = 0; b < 256; b++) compare(a, b);
    for (let a = 0xe0; a < 0xf6; a++) {
      for (let b = 0x70; b < 0x100; b += 3) for (let c = 0x7e; c < 0xc2; c++) compare(a, b, c);
    }
    expect(differ).toEqual([]);
  });

  test("in a stream that is cut anywhere, and goes on after its end", () => {
    const cuts = fc.array(fc.nat(6), { maxLength: 12 });
    fc.assert(
      fc.property(bytes, bytes, cuts, fc.boolean(), (first, second, lengths, ignoreBOM) => {
        const ours = new small.TextDecoder("utf-8", { ignoreBOM });
        const own = new TextDecoder("utf-8", { ignoreBOM });
        for (const input of [first, second]) {
          let [at, a, b] = [0, "", ""];
          for (const length of lengths) {
            const part = input.subarray(at, at + length);
            at += part.length;
            a += ours.decode(part, { stream: true });
            b += own.decode(part, { stream: true });
          }
          a += ours.decode(input.subarray(at));
          b += own.decode(input.subarray(at));
          expect(a).toBe(b);
        }
      }),
      RUNS,
    );
  });

  test("in a stream, fatal: the same text, or an error, in the end", () => {
    fc.assert(
      fc.property(bytes, fc.nat(10), (input, cut) => {
        const both = [small.TextDecoder, TextDecoder].map((Decoder) =>
          outcome(() => {
            const decoder = new Decoder("utf-8", { fatal: true });
            return decoder.decode(input.subarray(0, cut), { stream: true }) +
              decoder.decode(input.subarray(cut));
          })
        );
        expect(both[0]!).toBe(both[1]!);
      }),
      RUNS,
    );
  });

  test("a part of a larger memory, a buffer, nothing", () => {
    const all = new TextEncoder().encode("xxgrün€yy");
    const decoder = new small.TextDecoder();
    expect(decoder.decode(all.subarray(2, -2))).toBe("grün€");
    expect(decoder.decode(new DataView(all.buffer, 2, 3))).toBe("gr\ufffd");
    expect(decoder.decode(all.buffer)).toBe("xxgrün€yy");
    expect(decoder.decode()).toBe("");
  });

  test("Latin-1, and labels", () => {
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    expect(new small.TextDecoder("latin1").decode(every)).toBe(
      new TextDecoder("latin1").decode(every),
    );
    expect(new small.TextDecoder(" UTF8 ").encoding).toBe("utf-8");
    expect(() => new small.TextDecoder("koi8-r")).toThrow(RangeError);
  });
});

describe("the encoder", () => {
  const text = fc.string({
    unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
  });

  test("encodes what is no text too", () => {
    fc.assert(
      fc.property(text, (given) => {
        expect(new small.TextEncoder().encode(given)).toEqual(new TextEncoder().encode(given));
      }),
      RUNS,
    );
  });

  test("into memory that may be too small", () => {
    fc.assert(
      fc.property(text, fc.nat(40), (given, size) => {
        const [ours, own] = [new Uint8Array(size), new Uint8Array(size)];
        const result = new small.TextEncoder().encodeInto(given, ours);
        expect(result).toEqual(new TextEncoder().encodeInto(given, own));
        expect(ours).toEqual(own);
      }),
      RUNS,
    );
  });
});

describe("events", () => {
  test("listeners: in order, each once, once, taken away", () => {
    const target = new Target();
    const heard: string[] = [];
    const first = () => heard.push("first");
    target.addEventListener("x", first);
    target.addEventListener("x", first);
    target.addEventListener("x", { handleEvent: ({ type }) => heard.push(type) }, { once: true });
    target.addEventListener("y", () => heard.push("y"));
    target.dispatchEvent(new SmallEvent("x"));
    target.removeEventListener("x", first);
    target.dispatchEvent(new SmallEvent("x"));
    expect(heard).toEqual(["first", "x"]);
  });

  test("a signal aborts once, with its reason", () => {
    const controller = new Controller();
    const { signal } = controller;
    const heard: unknown[] = [];
    signal.onabort = () => heard.push("onabort");
    signal.addEventListener("abort", () => heard.push(signal.reason));
    signal.throwIfAborted();
    controller.abort("why");
    controller.abort("again");
    expect(signal).toMatchObject({ aborted: true, reason: "why" });
    expect(heard).toEqual(["onabort", "why"]);
    expect(() => signal.throwIfAborted()).toThrow("why");
    const none = new Controller();
    none.abort();
    expect(none.signal.reason).toMatchObject({ name: "AbortError" });
  });

  test("any of several; a listener that ends with a signal", () => {
    const [a, b] = [new Controller(), new Controller()];
    const any = Signal.any([a.signal, b.signal]);
    const target = new Target();
    let heard = 0;
    target.addEventListener("x", () => heard++, {
      signal: any as unknown as InstanceType<typeof Signal>,
    });
    target.dispatchEvent(new SmallEvent("x"));
    b.abort(2);
    target.dispatchEvent(new SmallEvent("x"));
    expect({ heard, reason: any.reason }).toEqual({ heard: 1, reason: 2 });
    expect(Signal.any([Signal.abort(1), a.signal])).toMatchObject({ aborted: true, reason: 1 });
  });
});
