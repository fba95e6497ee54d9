/** Finding parsers, and parsers that plugins bring. */
import { describe, expect, test } from "bun:test";
import { deviceNamed } from "../../../../commands/device/kinds.ts";
import { planDescribed, pluginParser } from "../../../../core/toolstack/specs/registry.ts";
import { pointAt, SpecError } from "../../../../core/toolstack/specs/spec_error.ts";
import type { DeviceDescription, DeviceSpecs } from "../../../../contract/v1/plugin.ts";
import { faultOf, specErrorOf } from "../errors.ts";

/** `size=N`: a disk in memory. */
const sizes: DeviceSpecs = {
  parse(text) {
    const [, size] = /^size=(\d+)$/.exec(text) ?? [];
    if (size === undefined) throw new Error(`${JSON.stringify(text)} is no size: write size=64`);
    return { backendNodes: { size }, frontendNodes: { "device-type": "disk" }, devid: 3 };
  },
  describe: () => ["size=… in MiB"],
};

/** A plugin that answers with whatever. */
const answering = (answer: unknown): DeviceSpecs => ({
  parse: () => answer as DeviceDescription,
  describe: () => [],
});
const throwing = (thrown: unknown): DeviceSpecs => ({
  parse() {
    throw thrown;
  },
  describe: () => [],
});

test("the built-in parsers are found by device and by kind", () => {
  const found = (name: string) => deviceNamed(name)?.device;
  expect(found("disk")).toBe("disk");
  for (const kind of ["vbd", "qdisk"]) expect(found(kind)).toBe("disk");
  expect(found("9pfs")).toBe("p9");
  expect(found("vscsi")).toBeUndefined();
  expect(found("__proto__")).toBeUndefined();
});

describe("a plugin's parser", () => {
  test("is for the kind that it was made for", () => {
    const parser = pluginParser("ramdisk", sizes);
    expect(parser.kinds).toEqual(["ramdisk"]);
    expect(parser.parse(["size=5"])).toEqual({
      backendNodes: { size: "5" },
      frontendNodes: { "device-type": "disk" },
      devid: 3,
    });
  });

  test("its error is ours, on one line; it may say where", () => {
    const error = specErrorOf(() => pluginParser("ramdisk", sizes).parse(["size=x"]));
    expect(error.message).toBe(
      'ramdisk specification: "size=x" is no size: write size=64: "size=x"',
    );
    const placed = Object.assign(new Error("bad\u001b[0m\nand more"), { offset: 5, length: 1 });
    const fault = specErrorOf(() => pluginParser("r", throwing(placed)).parse(["size=x", "y"]));
    expect(fault.category).toBe("bad\\u001b[0m");
    expect(pointAt(fault.place)).toEqual(["size=x,y", "     ^"]);
  });

  test.each([
    ["a text", "no"],
    [undefined, null],
    [{ offset: -1, length: 2 }, null],
    [{ offset: 99 }, null],
    [Object.assign(new Error("x"), { offset: 1, length: 99 }), null],
  ])("whatever it throws, it is our error (%#)", (thrown) => {
    const { place } = specErrorOf(() => pluginParser("r", throwing(thrown)).parse(["size=x"]));
    expect(place.offset + place.length).toBeLessThanOrEqual(6);
  });

  test.each([
    [undefined, "no object"],
    ["text", "no object"],
    [{}, "no nodes"],
    [Promise.resolve({ backendNodes: {} }), "no nodes"],
    [{ backendNodes: [], devid: -1 }, "a devid that is no number"],
    [{ backendNodes: {}, devid: 2 ** 31 }, "a devid that is no number"],
    [{ backendNodes: {}, backend: 5 }, "a backend that is no text"],
    [{ backendNodes: { "/x": "" } }, "a node without a proper name"],
    [{ backendNodes: { "a b": "" } }, "a node without a proper name"],
    [{ backendNodes: { "../x": "" } }, "a node without a proper name"],
    [{ backendNodes: { online: "0" } }, "a node online"],
    [{ backendNodes: { x: 5 } }, "a node x without a proper value"],
    [{ backendNodes: { x: "a\0" } }, "a node x without a proper value"],
    [{ backendNodes: { x: "a".repeat(2001) } }, "a node x without a proper value"],
    [{ backendNodes: {}, frontendNodes: { state: "4" } }, "a node state"],
    [
      { backendNodes: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`n${i}`, ""])) },
      "more than 256 nodes",
    ],
  ])("an answer that is no description is refused (%#)", (answer, what) => {
    const parse = () => pluginParser("r", answering(answer)).parse(["x"]);
    expect(parse).toThrow(SpecError);
    expect(faultOf(parse)).toEqual([`the plugin made ${what} of it`, "x"]);
  });

  test("what it describes becomes the nodes of a device", () => {
    const placement = { frontendDomid: 7, backendDomid: 1, devid: 3 };
    const plan = planDescribed(sizes.parse("size=5", "ramdisk"), "ramdisk", "vbd", placement);
    expect(plan.backend?.path).toBe("/local/domain/1/backend/ramdisk/7/3");
    expect(plan.frontend?.path).toBe("/local/domain/7/device/vbd/3");
    expect(plan.backend?.nodes.at(-1)).toEqual({ name: "size", value: "5" });
    expect(plan.frontend?.nodes.at(-1)).toMatchObject({ name: "device-type", value: "disk" });
  });
});
