/** IPv6 as text: held to what the runtime has for it. */
import { expect, test } from "bun:test";
import { isIPv6 } from "node:net";
import * as fc from "fast-check";
import { formatAddress, parseIp } from "../../contract/v1/ip_address.ts";

/** IPv4 at the end as two groups: the runtime's parser refuses some of them, as `::1:0:0:0:1.2.3.4`. */
function inGroups(text: string): string {
  return text.replace(/(?<=:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (four, ...parts) => {
    const numbers = parts.slice(0, 4).map(String);
    if (numbers.some((part) => !/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255)) return four;
    const [a, b, c, d] = numbers.map(Number) as [number, number, number, number];
    return `${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`;
  });
}

/** The shortest form; null for what is none: the URL parser takes some of that, as `::0:0:0:`. */
function byUrl(text: string): string | null {
  return isIPv6(text) ? new URL(`http://[${inGroups(text)}]`).hostname.slice(1, -1) : null;
}

function ours(text: string): string | null {
  const parsed = parseIp(text);
  return parsed === null ? null : formatAddress(parsed);
}

const group = fc.constantFrom("0", "0", "0000", "1", "0a", "fe80", "FFFF", "12345", "", "1.2.3.4");
const assembled = fc.array(fc.tuple(group, fc.constantFrom(":", ":", ":", "::", ":::")), {
  maxLength: 10,
}).map((parts) => parts.flat().join("")).chain((text) =>
  fc.constantFrom(text, text.replace(/:+$/, ""), `::${text}`)
);
const written = fc.oneof(
  fc.ipV6(),
  assembled,
  fc.string({ unit: fc.constantFrom(..."01af:."), maxLength: 24 }),
  fc.tuple(fc.ipV6(), fc.nat(40), fc.constantFrom(...":.0fg")).map(([text, at, put]) =>
    text.slice(0, at) + put + text.slice(at + 1)
  ),
).filter((text) => text.includes(":") && text.length >= 2 && text.length <= 45);

test("texts", () => {
  fc.assert(
    fc.property(written, (text) => {
      expect([text, ours(text)]).toEqual([text, byUrl(text)]);
    }),
    { numRuns: 20_000 },
  );
});

test("bytes: zeros wherever they may be", () => {
  for (let zeros = 0; zeros < 256; zeros++) {
    const groups = Array.from({ length: 8 }, (_, at) => zeros >> at & 1 ? 0 : 0x1f00 + at);
    const bytes = groups.flatMap((value) => [value >> 8, value & 0xff]);
    const text = formatAddress({ bytes });
    expect(text).toBe(byUrl(groups.map((value) => value.toString(16)).join(":"))!);
    expect(parseIp(text)).toEqual({ version: 6, bytes, bits: 128 });
  }
});
