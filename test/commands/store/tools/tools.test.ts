/** The xenstore tools' pure parts. What they do is compared with the originals in test/real. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { decodeCall, getopt } from "../../../../commands/store/tools/call.ts";
import { layoutOf, line } from "../../../../commands/store/tools/ls.ts";
import { MODES, toolCalled } from "../../../../commands/store/tools/tool_called.ts";
import {
  atoi,
  fromBytes,
  sanitise,
  toBytes,
  unsanitise,
} from "../../../../commands/store/tools/values.ts";

test("a tool is called by a link's name, or by the first argument", () => {
  expect(toolCalled("/usr/bin/xenstore-read", ["/a"])).toEqual({
    name: "/usr/bin/xenstore-read",
    skip: 0,
  });
  expect(toolCalled("xdevd", ["xenstore-ls", "-f"])).toEqual({ name: "xenstore-ls", skip: 1 });
  expect(toolCalled("xdevd", ["xenstore", "ls"])).toEqual({ name: "xenstore", skip: 1 });
  expect(toolCalled("/usr/sbin/xdevd", ["xenstored"])).toBeNull();
  expect(toolCalled("/usr/sbin/xenstored", [])).toBeNull();
  expect(toolCalled("xdevd", ["devd", "xenstore-ls"])).toBeNull();
  expect(toolCalled("xdevd", [])).toBeNull();
});

test("what one byte string prints is taken back as the same", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    const text = sanitise(fromBytes(bytes));
    expect(text).toMatch(/^[ -~]*$/);
    expect(toBytes(unsanitise(text))).toEqual(bytes);
  }));
});

test("numbers as atoi(3) reads them", () => {
  for (
    const [text, number] of [
      ["12", 12],
      [" -7x", -7],
      ["+3", 3],
      ["", 0],
      ["x", 0],
      ["- 1", 0],
      [
        "4294967297",
        1,
      ],
      ["99999999999999999999", -1],
      ["-99999999999999999999", 0],
    ] as const
  ) expect([text, atoi(text)]).toEqual([text, number]);
});

test("options and operands in any order, unless POSIXLY_CORRECT", () => {
  const args = ["/a", "-p", "--", "-s"];
  expect(getopt(args, "p", [])).toEqual({
    found: [{ kind: "option", short: "p", value: undefined }],
    operands: ["/a", "-s"],
  });
  expect(getopt(args, "p", [], true)).toEqual({ found: [], operands: args });
});

test("no command line breaks the reading of it", () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom("-h", "-n", "-n5", "--number", "--raw=", "--", "-", "-:", "--r", "-p"),
  );
  fc.assert(fc.property(fc.constantFrom(...MODES), fc.array(word), (mode, args) => {
    const { call, says } = decodeCall(`xenstore-${mode}`, args, false);
    if (call === null) expect(says.at(-1)).toStartWith(`xenstore-${mode}: `);
    else expect(call.operands.every((operand) => args.includes(operand))).toBe(true);
  }));
});

test("ls cuts a value that does not fit, by what it prints as", () => {
  const call = decodeCall("xenstore-ls", [], false).call!;
  const entry = { path: "/a/key", name: "key", value: "\n".repeat(30) };
  expect(line(entry, 1, layoutOf(call, 22))).toBe(' key = "\\n\\n\\n\\n\\..."\n');
  expect(line(entry, 1, layoutOf(call, undefined))).toBe(` key = "${"\\n".repeat(30)}"\n`);
  expect(line({ ...entry, value: undefined }, 0, layoutOf(call, 22))).toBe("key:\n\n");
});
