/** Messages of the routing socket, and the addresses in them. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  addressChange,
  decodeAddress,
  decodeLink,
  decodeRoute,
  linkChange,
  routeChange,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
} from "../../platform/linux/netlink/messages.ts";
import {
  decodeAttributes,
  decodeMessages,
  encodeMessage,
  encodePayload,
  HEADER_SIZE,
  numberOf,
  textOf,
} from "../../platform/linux/netlink/attributes.ts";
import { formatAddress, formatIp, hasHostBits, parseIp } from "../../contract/v1/ip_address.ts";

const bytes = (max: number) => fc.uint8Array({ maxLength: max });

describe("messages", () => {
  test("what is encoded is decoded", () => {
    const attribute = fc.tuple(fc.integer({ min: 1, max: 500 }), bytes(40));
    fc.assert(
      fc.property(bytes(20), fc.array(attribute), fc.nat(), (structure, attributes, sequence) => {
        const payload = encodePayload(structure, attributes);
        const encoded = encodeMessage({ type: 18, flags: 5, payload }, sequence);
        const [message] = decodeMessages(encoded, sequence);
        expect(message).toEqual({ type: 18, flags: 5, payload });
        const decoded = decodeAttributes(payload, structure.length);
        expect([...decoded]).toEqual([...new Map(attributes)]);
        expect(decodeMessages(encoded, sequence + 1)).toEqual([]);
      }),
    );
  });

  test("numbers and texts", () => {
    const attributes = decodeAttributes(
      encodePayload(new Uint8Array(), [[1, 70_000], [2, "a"]]),
      0,
    );
    expect(numberOf(attributes, 1)).toBe(70_000);
    expect(textOf(attributes, 2)).toBe("a");
    expect(numberOf(attributes, 2)).toBeUndefined();
  });

  test("whatever comes, nothing is thrown and nothing loops", () => {
    fc.assert(
      fc.property(bytes(200), (payload) => {
        decodeMessages(payload, 0);
        decodeAttributes(payload, 4);
        decodeLink({ type: RTM_NEWLINK, flags: 0, payload });
        decodeAddress({ type: RTM_NEWADDR, flags: 0, payload }, 1);
        decodeRoute({ type: RTM_NEWROUTE, flags: 0, payload }, 1);
      }),
    );
    const endless = new Uint8Array(HEADER_SIZE);
    expect(decodeMessages(endless, 0)).toEqual([]);
  });

  test("a change names what it changes as the kernel would tell it", () => {
    const change = { up: true, mtu: 1400, mac: "fe:ff:ff:ff:ff:ff", name: "lan0", masterIndex: 4 };
    const payload = linkChange(3, change);
    expect(decodeLink({ type: RTM_NEWLINK, flags: 0, payload }))
      .toEqual({ index: 3, kind: "", ...change });
    const address = addressChange(3, parseIp("10.0.0.1/24")!);
    const message = { type: RTM_NEWADDR, flags: 0, payload: address };
    expect(decodeAddress(message, 3)).toBe("10.0.0.1/24");
    expect(decodeAddress(message, 4)).toBeNull();
    for (
      const route of [
        { destination: "10.0.0.1/32", source: "192.0.2.1", metric: 2 },
        { destination: "fd00::/8", metric: 0 },
        { destination: "0.0.0.0/0", metric: 0 },
        { destination: "::/0", metric: 0 },
      ]
    ) {
      const payload = routeChange(3, route, "add")!;
      expect(decodeRoute({ type: RTM_NEWROUTE, flags: 0, payload }, 3)).toEqual(route);
    }
    expect(routeChange(3, { destination: "x" }, "add")).toBeNull();
  });
});

describe("IP addresses", () => {
  test("text to bytes and back", () => {
    fc.assert(fc.property(fc.ipV4(), (text) => {
      expect(formatAddress(parseIp(text)!)).toBe(text);
    }));
    fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (address) => {
      const text = formatAddress({ bytes: [...address] });
      expect(parseIp(text)).toEqual({ version: 6, bytes: [...address], bits: 128 });
    }));
    expect(formatIp(parseIp("::")!)).toBe("::/128");
    expect(formatIp(parseIp("FD00:0:0::1/64")!)).toBe("fd00::1/64");
    expect(formatIp(parseIp("::ffff:192.0.2.1")!)).toBe("::ffff:c000:201/128");
  });

  test.each(["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4/33", "1.2.3.4/", ":"])(
    "%j is none",
    (text) => expect(parseIp(text)).toBeNull(),
  );

  test.each(["1.2.3.4/024", "1::2::3", "1:2:3:4:5:6:7:8:9", "g::", "::/129", "::1%eth0", "::\n"])(
    "%j is none",
    (text) => expect(parseIp(text)).toBeNull(),
  );

  test.each([
    ["10.0.0.0/8", false],
    ["10.0.0.1/8", true],
    ["10.0.0.1", false],
    ["10.0.0.128/25", false],
    ["10.0.0.192/25", true],
    ["0.0.0.0/0", false],
    ["0.0.0.1/0", true],
    ["fd00::/64", false],
    ["fd00::1/64", true],
  ])("host bits in %s: %p", (text, expected) => {
    expect(hasHostBits(parseIp(text)!)).toBe(expected);
  });
});
