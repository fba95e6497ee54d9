/** The parser of disk specifications against its grammar, on whatever text. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { parseDisk } from "../../../../../core/toolstack/specs/disk/parse.ts";
import type { DiskSpec } from "../../../../../core/toolstack/specs/disk/spec.ts";
import { formatDisk } from "../format.ts";
import { pointAt, SpecError } from "../../../../../core/toolstack/specs/spec_error.ts";
import { naiveDisk } from "./naive.ts";
import { likely, soup } from "./soups.ts";

/** Texts of all sorts; some with line ends and other control characters. */
const text = fc.oneof(
  { weight: 4, arbitrary: likely },
  { weight: 4, arbitrary: soup },
  {
    weight: 2,
    arbitrary: fc.tuple(likely, fc.constantFrom("\n", "\n ", "\x01", "\0"), likely)
      .map((parts) => parts.join("")),
  },
  {
    weight: 1,
    arbitrary: fc.array(fc.constantFrom(..."a1:=,/ \n\t-"), { maxLength: 14 }).map((c) =>
      c.join("")
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
);
const texts = fc.oneof(
  { weight: 2, arbitrary: fc.tuple(likely) },
  { weight: 3, arbitrary: fc.array(text, { maxLength: 3 }) },
);

/** In libxl's names. */
function plain(disk: DiskSpec): Record<string, unknown> {
  const named = {
    target: disk.target,
    vdev: disk.vdev,
    format: disk.format,
    readwrite: Number(!disk.readOnly),
    is_cdrom: disk.cdrom,
    backend: disk.backend,
    backendtype: disk.backendType,
    specification: disk.specification,
    script: disk.script,
    direct_io_safe: disk.directIoSafe,
    discard: disk.discard,
    trusted: disk.trusted,
    grant_usage: disk.grantUsage,
    colo: disk.colo,
    "colo-host": disk.coloHost,
    "colo-port": disk.coloPort,
    "colo-export": disk.coloExport,
    "active-disk": disk.activeDisk,
    "hidden-disk": disk.hiddenDisk,
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}

function attempt(specs: readonly string[]): DiskSpec | SpecError {
  try {
    return parseDisk(specs);
  } catch (error) {
    if (error instanceof SpecError) return error;
    throw error;
  }
}

test("it agrees with the table of rules, tried one by one", () => {
  const seen = { accepted: 0, refused: new Set<string>() };
  fc.assert(
    fc.property(texts, (specs) => {
      const [ours, naive] = [attempt(specs), naiveDisk(specs)];
      if (!(ours instanceof SpecError)) {
        seen.accepted++;
        const defaults = { is_cdrom: false, direct_io_safe: false };
        expect("disk" in naive && { ...defaults, ...naive.disk }).toEqual(plain(ours) as never);
        return;
      }
      seen.refused.add(ours.category);
      const errors = "errors" in naive ? naive.errors : [];
      // A piece with a stray `=` is refused as a whole, not first taken for something else; a value
      // with control characters is refused where it is; and what follows a flag without a comma
      // does not count as one more piece.
      const loose = specs.some((spec) => /grant_usage=[01][^,]/.test(spec));
      if (ours.category === "bad disk syntax") expect(loose || errors.length > 0).toBe(true);
      else expect(errors[0]).toBe(ours.category);
    }),
    { numRuns: 20_000 },
  );
  expect(seen.accepted).toBeGreaterThan(200);
  expect(seen.refused.size).toBeGreaterThan(15);
});

test("what is printed is read back as the same disk", () => {
  let count = 0;
  fc.assert(
    fc.property(texts, (specs) => {
      const disk = attempt(specs);
      if (disk instanceof SpecError) return;
      count++;
      const printed = formatDisk(disk);
      expect(parseDisk(printed)).toEqual(disk);
      expect(formatDisk(parseDisk(printed))).toBe(printed);
    }),
    { numRuns: 10_000 },
  );
  expect(count).toBeGreaterThan(100);
});

test("an error is one line, and its mark is below what it names", () => {
  fc.assert(
    fc.property(texts, (specs) => {
      const error = attempt(specs);
      if (!(error instanceof SpecError)) return;
      const { text, argument, offset, length } = error.place;
      expect(text).toBe(specs[argument] ?? "");
      expect(offset + length).toBeLessThanOrEqual(text.length);
      // deno-lint-ignore no-control-regex
      expect(error.message).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/);
      const [shown, mark] = pointAt(error.place);
      expect(mark).toMatch(/^ *\^~*$/);
      expect(mark.length).toBeLessThanOrEqual(shown.length + 1);
      const marked = shown.slice(mark.indexOf("^"), mark.length);
      if (length > 0 && /^[\x20-\x7e]*$/.test(text)) {
        expect(text.slice(offset, offset + length)).toStartWith(marked);
      }
    }),
    { numRuns: 5_000 },
  );
});
