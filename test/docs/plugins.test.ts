/** The guide and the protocol's page say what the code does. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RULES } from "../../simulation/plugin_check/suite.ts";
import { CAPABILITIES } from "../../contract/v1/capabilities.ts";
import { protocolDocument } from "../../tools/docs/capability_reference.ts";
import { FRAME_MAX, FrameParser } from "../../plugins/process/frames.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const read = (file: string) => readFileSync(join(root, file), "utf8");
const guide = read("docs/plugins.md");
const protocol = read("docs/plugin-protocol.md");

/** Texts of the code blocks of a language. */
function blocks(text: string, language = ""): string[] {
  const pattern = new RegExp("^```" + language + "\\n([^]*?)^```$", "gm");
  return [...text.matchAll(pattern)].map(([, block]) => block!);
}

describe("the guide", () => {
  test("shows the example as it is", () => {
    expect(blocks(guide, "ts")[0]).toBe(read("examples/ramdisk.ts"));
    expect(blocks(guide, "ts")[1]).toBe(read("examples/random.ts"));
  });

  test("has all rules, and no others", () => {
    const rows = [...guide.matchAll(/^\| `([a-z-]+)` \| (.*) \|$/gm)].map(([, name, claim]) =>
      `${name}: ${claim}`
    );
    for (const { name, claim } of RULES) expect(rows).toContain(`${name}: ${claim}`);
    const section = guide.slice(guide.indexOf("## The rules"), guide.indexOf("## How plugins"));
    expect(section.match(/^\| `/gm)).toHaveLength(RULES.length);
  });

  test("says of every capability, or its group, what it is for", () => {
    const section = guide.slice(guide.indexOf("### What a device"), guide.indexOf("## The manife"));
    for (const name of Object.keys(CAPABILITIES)) {
      const [group = "", use = group] = name.split(".");
      expect([name, new RegExp(`\\b(${use}|${group})\\b`).test(section)]).toEqual([name, true]);
    }
  });

  test.each(["docs/plugins.md", "docs/plugin-protocol.md", "README.md"])(
    "%s has no link to what is not there",
    (file) => {
      for (const [, target] of read(file).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
        expect([target, existsSync(join(root, dirname(file), target!))]).toEqual([target, true]);
      }
    },
  );
});

describe("the protocol's page", () => {
  test("its frames, byte by byte, are frames", () => {
    const messages = blocks(protocol).filter((block) => /^00 00 00/.test(block)).flatMap(
      (block) => {
        const bytes = block.split("\n").flatMap((line) => line.split(";")[0]!.match(/\S+/g) ?? []);
        return new FrameParser().push(Uint8Array.from(bytes, (byte) => parseInt(byte, 16)));
      },
    );
    expect(messages).toEqual([
      { type: "hello", contracts: [1], host: "xdevd/0.1.0" },
      { type: "hello", contract: 1, name: "null", operations: ["add", "remove"] },
    ]);
  });

  test("has all capabilities, and no others: `npm run docs` writes them", () => {
    expect(protocolDocument(protocol)).toBe(protocol);
  });

  test("names the limit", () => {
    expect(protocol).toContain(FRAME_MAX.toLocaleString("en"));
  });
});
