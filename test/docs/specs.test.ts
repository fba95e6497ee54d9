/** docs/specs.md: its examples are parsed, its errors are what is said. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseVdev, VDEV_RULE } from "../../core/toolstack/specs/disk/vdev.ts";
import { DISK_FLAGS, DISK_KEYS } from "../../core/toolstack/specs/disk/lexer.ts";
import {
  P9_FIELDS,
  PVCALLS_FIELDS,
  USBCTRL_FIELDS,
  VIRTIO_FIELDS,
  VKB_FIELDS,
  VTPM_FIELDS,
} from "../../core/toolstack/specs/kinds.ts";
import { NIC_TEXT_KEYS } from "../../core/toolstack/specs/nic/parse.ts";
import { BUILT_IN_PARSERS, type BuiltInSpecs } from "../../core/toolstack/specs/registry.ts";
import { pointAt, SpecError } from "../../core/toolstack/specs/spec_error.ts";

const page = readFileSync(join(import.meta.dir, "..", "..", "docs", "specs.md"), "utf8");

function parse(device: string, text: string): unknown {
  if (device === "vdev") return parseVdev(text);
  return BUILT_IN_PARSERS[device as keyof BuiltInSpecs].parse(
    device === "vif" ? text.split(" ") : [text],
  );
}

/** Lines of the blocks that are marked so, with the device that is named there. */
function blocks(mark: string): [device: string, lines: string[]][] {
  return [...page.matchAll(new RegExp("^```" + mark + " (\\w+)\\n([^]*?)\\n```$", "gm"))]
    .map(([, device, block]) => [device!, block!.split("\n")]);
}

const examples = blocks("spec").flatMap(([device, lines]) =>
  lines.map((line) => [device, line] as const)
);

describe("docs/specs.md", () => {
  test("has examples of every device, and of errors", () => {
    const devices = new Set(["vdev", ...Object.keys(BUILT_IN_PARSERS)]);
    expect(new Set(examples.map(([device]) => device))).toEqual(devices);
    expect(blocks("error").length).toBeGreaterThan(3);
  });

  test.each(examples)("%s: %s is accepted", (device, text) => {
    expect(() => parse(device, text)).not.toThrow();
  });

  test.each(blocks("error"))("an error of %s is as it is shown: %j", (device, lines) => {
    const [text, ...shown] = lines;
    try {
      parse(device, text!);
    } catch (error) {
      if (!(error instanceof SpecError)) throw error;
      return expect([error.message, ...pointAt(error.place)]).toEqual(shown);
    }
    throw new Error("it was accepted");
  });

  test("names every key", () => {
    const tables = [
      P9_FIELDS,
      PVCALLS_FIELDS,
      USBCTRL_FIELDS,
      VIRTIO_FIELDS,
      VKB_FIELDS,
      VTPM_FIELDS,
    ];
    const keys = [
      ...[...DISK_KEYS, ...NIC_TEXT_KEYS].map((key) => `\`${key}=`),
      ...DISK_FLAGS.map((flag) => `\`${flag}\``),
      ...tables.flatMap((table) => Object.keys(table)).map((key) => `\`${key}\``),
    ];
    expect(keys.filter((key) => !page.includes(key))).toEqual([]);
    expect(page).toContain(VDEV_RULE);
  });
});
