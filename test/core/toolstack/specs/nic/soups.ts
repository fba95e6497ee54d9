/** Random items of network specifications. */
import * as fc from "fast-check";
import { NIC_COLO_KEYS } from "../../../../../core/toolstack/specs/nic/spec.ts";
import { NIC_TEXT_KEYS } from "../../../../../core/toolstack/specs/nic/parse.ts";

const number = fc.oneof(
  fc.nat({ max: 70_000 }),
  fc.nat(),
  fc.constantFrom(0, 1, 7, 8, 9, 10, 8_000, 999_999, 4_294_967_295, 4_294_967_296),
).map(String);

/** Rates, right and wrong. */
export const rate: fc.Arbitrary<string> = fc.tuple(
  fc.constantFrom("", "", "", "0"),
  number,
  fc.constantFrom("", "G", "M", "K", "k"),
  fc.constantFrom("b", "B", "B", ""),
  fc.constantFrom("/s", "/s", "/s", "s", ""),
  fc.oneof(
    fc.constantFrom("", "@"),
    fc.tuple(number, fc.constantFrom("", "m", "u", "n"), fc.constantFrom("s", ""))
      .map(([count, unit, s]) => `@${count}${unit}${s}`),
  ),
).map((parts) => parts.join(""));

const group = fc.oneof(
  fc.nat({ max: 300 }).map((n) => n.toString(16)),
  fc.constantFrom("00", "FE"),
);

/** Hardware addresses, some with groups that are too large; always six groups, one separator. */
export const mac: fc.Arbitrary<string> = fc.tuple(
  fc.array(group, { minLength: 6, maxLength: 6 }),
  fc.constantFrom(":", ":", "-", ".", " ", "_"),
).map(([groups, separator]) => groups.join(separator));

/** An item of any kind. */
export const item: fc.Arbitrary<string> = fc.oneof(
  rate.map((value) => `rate=${value}`),
  mac.map((value) => `mac=${value}`),
  number.map((value) => `devid=${value}`),
  number.map((value) => `mtu=${value}`),
  fc.constantFrom("type=vif", "type=ioemu", "type=", "type=vif ", "accel=1", "netdev=eth0"),
  fc.constantFrom("trusted", "untrusted", "trusted=1", "bridge", "", "=", "MAC=1", "color=red"),
  fc.tuple(
    fc.constantFrom(...NIC_TEXT_KEYS, ...NIC_COLO_KEYS),
    fc.constantFrom("", "xenbr0", "10.0.0.1 fe80::1", "a=b", "a,b", 'é"\\\t', "vif-route"),
  ).map(([key, value]) => `${key}=${value}`),
);
