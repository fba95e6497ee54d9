/** Texts from elsewhere in messages. */
import { expect, test } from "bun:test";
import { quoted, quotedValue, visible } from "../../../core/log/quoted.ts";

test("what is long is cut behind its 80th character, and what is just as long is whole", () => {
  const whole = "x".repeat(80);
  expect(quoted(whole)).toBe(`"${whole}"`);
  expect(quoted(`${whole}y`)).toBe(`"${whole}…"`);
  expect(quoted("")).toBe('""');
});

test("what cannot be seen is shown as a number, and what is missing is said to be", () => {
  expect(quoted("a\u202eb\u009b")).toBe('"a\\u202eb\\u009b"');
  expect(visible("a\tb")).toBe("a\\u0009b");
  expect([quotedValue(undefined), quotedValue("x")]).toEqual(["missing", '"x"']);
});
