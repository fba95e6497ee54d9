/** What devices are called. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { deviceFields, deviceLabel, nickname, shownName } from "../../../core/xen/device_label.ts";

test.each([
  ["vbd", 51728, "xvdb", "xvdb (vbd/7/51728)"],
  ["qdisk", 51729, "xvdb1", "xvdb1 (qdisk/7/51729)"],
  ["vbd3", 2048, "sda", "sda (vbd3/7/2048)"],
  ["vbd", (1 << 28) | (16 << 8), "xvdq", `xvdq (vbd/7/${(1 << 28) | (16 << 8)})`],
  ["vbd", 5, null, "vbd/7/5"],
  ["vbd", 2 ** 32 - 1, null, "vbd/7/4294967295"],
  ["vif", 0, "vif7.0", "vif7.0 (vif/7/0)"],
  ["9pfs", 0, null, "9pfs/7/0"],
])("%s %d", (kind, devid, nick, label) => {
  const id = { kind, frontendDomid: 7, devid };
  expect(nickname(id)).toBe(nick);
  expect(deviceLabel(id)).toBe(label);
  expect(deviceLabel(id, "web")).toBe(`web: ${label}`);
});

test("a guest's name cannot pass for more than a name", () => {
  expect(["web-1.example", "a_b+c"].map(shownName)).toEqual(["web-1.example", "a_b+c"]);
  expect(["", "a b", "a: xvda", 'a"b', "-x"].map(shownName))
    .toEqual(['""', '"a b"', '"a: xvda"', '"a\\"b"', '"-x"']);
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 5_000 }), (name) => {
    expect(shownName(name)).toMatch(/^([A-Za-z0-9_][A-Za-z0-9_.+-]*|"([^"\\]|\\.)*")$/u);
    expect(shownName(name).length).toBeLessThan(6 * 65 + 4);
  }));
});

test("the same in fields", () => {
  expect(deviceFields({ kind: "vbd", frontendDomid: 7, devid: 51712 }, "web"))
    .toEqual({ guest: 7, guestName: "web", kind: "vbd", devid: 51712, vdev: "xvda" });
  expect(deviceFields({ kind: "vif", frontendDomid: 7, devid: 1 }))
    .toEqual({ guest: 7, kind: "vif", devid: 1, interface: "vif7.1" });
});
