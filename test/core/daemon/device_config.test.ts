/** A device's nodes as values: what is wrong is said with the node, its value, and what would do. */
import { describe, expect, test } from "bun:test";
import { deviceConfig } from "../../../core/daemon/plugin/device_config.ts";

const config = (value?: string) => deviceConfig(value === undefined ? {} : { node: value });
const range = { min: -5, max: 10 };

describe("a node", () => {
  test("that is empty is as good as none, and so is what all objects have", () => {
    for (const nodes of [{}, { node: "" }]) {
      expect(deviceConfig(nodes).text("node", "else")).toBe("else");
      expect(() => deviceConfig(nodes).text("node")).toThrow(
        "node node is missing or empty; expected a text without control characters",
      );
    }
    expect(() => config().text("constructor")).toThrow("node constructor is missing or empty");
  });

  test("with a text is that text, unless it has control characters", () => {
    expect(config("a b").text("node", "else")).toBe("a b");
    expect(() => config("a\nb").text("node")).toThrow(
      'node node is "a\\nb"; expected a text without control characters',
    );
    const long = "\n" + "x".repeat(100);
    expect(() => config(long).text("node")).toThrow(`is "\\n${"x".repeat(79)}"; expected`);
  });

  test.each([["-5", -5], ["10", 10], ["0", 0], ["007", 7]])(
    "with the whole number %s is %d",
    (text, number) => expect(config(text).integer("node", range)).toBe(number),
  );

  test.each(["-6", "11", "1.5", "1e1", " 1", "0x1", "9999999999999999", "x"])(
    "with %j is no number of that range",
    (text) =>
      expect(() => config(text).integer("node", range)).toThrow(
        `node node is ${JSON.stringify(text)}; expected a whole number, -5 to 10`,
      ),
  );

  test("without a number has the one that is said to do", () => {
    expect(config().integer("node", { ...range, otherwise: 99 })).toBe(99);
    expect(config("3").integer("node", { ...range, otherwise: 99 })).toBe(3);
    expect(() => config().integer("node", range)).toThrow("is missing or empty; expected a whole");
  });

  test("is one of some words, or none", () => {
    expect(config("w").oneOf("node", ["r", "w"])).toBe("w");
    expect(config().oneOf("node", ["r", "w"], "r")).toBe("r");
    expect(() => config("x").oneOf("node", ["r", "w"])).toThrow(
      'node node is "x"; expected r or w',
    );
  });
});
