/** Network specifications. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { formatNic, formatRate } from "../format.ts";
import {
  bytesPerInterval,
  NIC_COLO_KEYS,
  nicDryRun,
  type NicSpec,
  parseMac,
  randomMac,
} from "../../../../../core/toolstack/specs/nic/spec.ts";
import { parseNic } from "../../../../../core/toolstack/specs/nic/parse.ts";
import { pointAt, SpecError } from "../../../../../core/toolstack/specs/spec_error.ts";
import { faultOf, specErrorOf } from "../../errors.ts";
import { item, mac, rate } from "./soups.ts";

const nic = (...items: string[]): NicSpec => parseNic(items).nic;

describe("accepted", () => {
  test.each<[string, Partial<NicSpec>]>([
    ["mac=00:16:3e:12:34:56", { mac: "00:16:3e:12:34:56" }],
    ["mac=0-16-3E-1-2-FF", { mac: "00:16:3e:01:02:ff" }],
    ["bridge=br0,br1", { bridge: "br0,br1" }],
    ["gatewaydev=eth0", { gatewaydev: "eth0" }],
    ["type=vif", { type: "vif" }],
    ["type=ioemu", { type: "ioemu" }],
    ["model=e1000", { model: "e1000" }],
    ["vifname=guest0", { vifname: "guest0" }],
    ["script=vif-route", { script: "vif-route" }],
    ["ip=10.0.0.1 fe80::1", { ip: "10.0.0.1 fe80::1" }],
    ["backend=net", { backend: "net" }],
    ["backend=", { backend: "" }],
    ["devid=7", { devid: 7 }],
    ["mtu=9000", { mtu: 9000 }],
    ["mtu=0", {}],
    ["vlan=10p/20-30", { vlan: "10p/20-30" }],
    ["trusted", { trusted: true }],
    ["untrusted", { trusted: false }],
    ["forwarddev=eth1", { forwarddev: "eth1" }],
    ["colo_sock_sec_redirector1_port=5", { colo: { colo_sock_sec_redirector1_port: "5" } }],
  ])("%s", (text, expected) => {
    const parsed = parseNic([text]);
    expect({ ...parsed.nic }).toEqual({ colo: {}, ...expected });
    expect(parsed.warnings).toEqual([]);
  });

  test("of several values the last one holds", () => {
    expect(nic("bridge=a", "mac=1:2:3:4:5:6", "bridge=b", "untrusted", "trusted")).toEqual({
      bridge: "b",
      mac: "01:02:03:04:05:06",
      trusted: true,
      colo: {},
    }); // deno-fmt-ignore
  });

  test("defaults of the configuration count until something is said", () => {
    const defaults = { bridge: "br7", script: "vif-route", backend: "net" };
    expect(parseNic(["bridge=b"], defaults).nic).toEqual({ ...defaults, bridge: "b", colo: {} });
  });

  test("what is deprecated, without effect, or surprising is said", () => {
    const { nic, warnings } = parseNic(["netdev=eth0", "accel=1", "rate=010KB/s"]);
    expect(nic.gatewaydev).toBe("eth0");
    expect(nic.rate?.bytesPerSecond).toBe(8000n);
    expect(warnings).toEqual([
      "netdev is deprecated: write gatewaydev",
      "accel is not supported and is ignored",
      "rate: 010 is taken as an octal number, 8; write it without the leading zero",
    ]);
  });
});

describe("refused", () => {
  test.each([
    ["mac=00:16:3e:12:34", "Invalid parameter", "mac=00:16:3e:12:34"],
    ["mac=00:16:3e:12:34:56:78", "Invalid parameter", "mac=00:16:3e:12:34:56:78"],
    ["mac=00:16:3e:12:34:100", "Invalid parameter", "mac=00:16:3e:12:34:100"],
    ["mac=00::16:3e:12:34", "Invalid parameter", "mac=00::16:3e:12:34"],
    ["mac=", "Invalid parameter", "mac="],
    ["type=e1000", "Invalid parameter", "type=e1000"],
    ["devid=x", "not a number", "devid=x"],
    ["devid=-1", "not a number", "devid=-1"],
    ["devid=2147483648", "Invalid parameter", "devid=2147483648"],
    ["mtu=", "not a number", "mtu="],
    ["mtu=1500b", "not a number", "mtu=1500b"],
    ["mtu=65536", "Invalid parameter", "mtu=65536"],
    ["bridge=a\nb", "Invalid parameter", "bridge=a\nb"],
    ["color=red", "unrecognized argument", "color=red"],
    ["bridge", "unrecognized argument", "bridge"],
    ["trusted=1", "unrecognized argument", "trusted=1"],
    ["", "unrecognized argument", ""],
    ["rate=", "no rate specified", "rate="],
    ["rate=@1s", "no rate specified", "rate=@1s"],
    ["rate=10", "invalid rate", "10"],
    ["rate=10MB", "invalid rate", "10MB"],
    ["rate=10mb/s@50ms", "invalid rate", "10mb/s"],
    ["rate=-1MB/s", "invalid rate", "-1MB/s"],
    ["rate=09MB/s", "invalid rate", "09MB/s"],
    ["rate=0MB/s", "rate overflow", "0MB/s"],
    ["rate=4294967296B/s", "rate overflow", "4294967296B/s"],
    ["rate=1GB/s@", "invalid replenishment interval", ""],
    ["rate=1GB/s@5ns", "invalid replenishment interval", "5ns"],
    ["rate=1GB/s@0s", "replenishment interval overflow", "0s"],
    ["rate=1GB/s@4295s", "replenishment interval overflow", "4295s"],
    ["rate=4294967295GB/s@5us", "rate overflow", "4294967295GB/s@5us"],
  ])("%j", (text, category, piece) => {
    expect(faultOf(() => nic(text))).toEqual([category, piece]);
  });

  test("the piece is in its own argument", () => {
    const error = specErrorOf(() => nic("bridge=b", "rate=1GB/s@5ns"));
    expect(error.place.argument).toBe(1);
    expect(pointAt(error.place)).toEqual(["rate=1GB/s@5ns", "           ^~~"]);
    expect(error.message).toBe(
      'vif specification: invalid replenishment interval: "5ns"; expected such as 50ms, 20us, 1s',
    );
  });
});

describe("rates", () => {
  test.each<[string, bigint, number]>([
    ["10MB/s", 500_000n, 50_000],
    ["10MB/s@20ms", 200_000n, 20_000],
    ["10Mb/s@1s", 1_250_000n, 1_000_000],
    ["10Mb/s@1", 1_250_000n, 1_000_000],
    ["250Kb/s@20us", 0n, 20],
    ["1GB/s@50000us", 50_000_000n, 50_000],
    ["1GB/s@50000u", 50_000_000n, 50_000],
    ["7b/s", 0n, 50_000],
    ["4294967295GB/s@4us", 17179869180000n, 4],
  ])("%s", (text, bytes, interval) => {
    const { rate } = nic(`rate=${text}`);
    expect([bytesPerInterval(rate!), rate!.intervalUs]).toEqual([bytes, interval]);
  });

  test("a rate that is printed is read back as the same", () => {
    let count = 0;
    fc.assert(
      fc.property(rate, (text) => {
        let parsed;
        try {
          parsed = nic(`rate=${text}`).rate!;
        } catch {
          return;
        }
        count++;
        expect(nic(`rate=${formatRate(parsed)}`).rate).toEqual(parsed);
      }),
      { numRuns: 10_000 },
    );
    expect(count).toBeGreaterThan(200);
  });
});

test("addresses: whatever the separator, in the common form", () => {
  fc.assert(
    fc.property(mac, (text) => {
      const parsed = parseMac(text);
      const groups = text.split(/[^\da-f]/i).map((group) => parseInt(group, 16));
      expect(parsed === undefined).toBe(groups.some((group) => group > 255));
      if (parsed === undefined) return;
      expect(parsed.split(":").map((group) => parseInt(group, 16))).toEqual(groups);
      expect(parseMac(parsed)).toBe(parsed);
    }),
  );
  expect(randomMac(Uint8Array.of(0xff, 0x01, 0xa0))).toBe("00:16:3e:7f:01:a0");
});

const items = fc.array(fc.oneof({ weight: 6, arbitrary: item }, fc.string({ maxLength: 9 })), {
  maxLength: 4,
});

test("whatever the text, it is accepted or refused with our own error; what is printed is read", () => {
  let count = 0;
  fc.assert(
    fc.property(items, (list) => {
      try {
        const { nic } = parseNic(list);
        count++;
        expect(parseNic(formatNic(nic))).toEqual({ nic, warnings: [] } as never);
      } catch (error) {
        if (!(error instanceof SpecError)) throw error;
        expect(list[error.place.argument]).toBe(error.place.text);
      }
    }),
    { numRuns: 10_000 },
  );
  expect(count).toBeGreaterThan(1000);
});

test("xl -N prints fields in libxl's order, without defaults, and an empty line", () => {
  expect(nicDryRun(nic())).toBe("vif: {\n\n}\n\n");
  const all = [
    "trusted",
    "gatewaydev=g",
    "rate=1GB/s",
    "type=ioemu",
    "script=s",
    "vifname=v",
    "bridge=b",
    "ip=i",
    "mac=1:2:3:4:5:6",
    "model=m",
    "vlan=7",
    "mtu=1500",
    "devid=0",
    "backend=d",
    "forwarddev=f",
  ]; // deno-fmt-ignore
  expect(nicDryRun(nic(...all, "colo_checkpoint_port=9"))).toBe(`vif: {
    "backend_domname": "d",
    "devid": 0,
    "mtu": 1500,
    "vlan": "7",
    "model": "m",
    "mac": "01:02:03:04:05:06",
    "ip": "i",
    "bridge": "b",
    "ifname": "v",
    "script": "s",
    "nictype": "vif_ioemu",
    "rate_bytes_per_interval": 50000000,
    "rate_interval_usecs": 50000,
    "gatewaydev": "g",
    "coloft_forwarddev": "f",
    "colo_checkpoint_port": "9",
    "trusted": "True"
}

`);
  expect(NIC_COLO_KEYS).toHaveLength(48);
});
