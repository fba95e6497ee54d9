/** Our parsers of disk and network specifications against those of Debian's xl. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { parseDisk } from "../../core/toolstack/specs/disk/parse.ts";
import { diskDryRun } from "../../core/toolstack/specs/disk/spec.ts";
import { parseNic } from "../../core/toolstack/specs/nic/parse.ts";
import { nicDryRun } from "../../core/toolstack/specs/nic/spec.ts";
import { SpecError } from "../../core/toolstack/specs/spec_error.ts";
import { likely, soup } from "../core/toolstack/specs/disk/soups.ts";
import { item } from "../core/toolstack/specs/nic/soups.ts";
import { requireReal } from "./requirements.ts";
import { type DryRun, XlDryRun } from "./xl_dry_run.ts";

const RUNS = Number(process.env["XDEVD_SPEC_RUNS"] ?? 300);

/** What xl prints, or undefined and the error. */
function attempt(print: () => string): { output: string; error?: SpecError } {
  try {
    return { output: print() };
  } catch (error) {
    if (error instanceof SpecError) return { output: "", error };
    throw error;
  }
}

/** Categories of the errors that xl found in a disk. */
function categories({ errors }: DryRun): string[] {
  return [...errors.matchAll(/disk specification: (.*?)(?:: near `| in `)/g)].map(([, c]) => c!);
}

const needs = { packages: ["xen-utils-4.17", "gcc", "libc6-dev"] };
if (requireReal("specifications against Debian's xl", needs)) {
  describe("the same as Debian's xl -N", () => {
    let xl: XlDryRun;
    beforeAll(async () => void (xl = await XlDryRun.make()));
    afterAll(() => xl.remove());

    // Known to the grammar, but not to Debian's xl: its lexer was not made anew.
    const newer = /trusted|grant_usage/;

    test.each([["soups", soup], ["likely texts", likely]])("disks: %s", (_, texts) => {
      const list = fc.array(texts.filter((text) => !newer.test(text)), {
        minLength: 1,
        maxLength: 2,
      });
      fc.assert(
        fc.property(list, (specs) => {
          const { output, error } = attempt(() => diskDryRun(parseDisk(specs)));
          const real = xl.run("block-attach", specs);
          if (error === undefined) {
            expect([real.output, real.status]).toEqual([output, 0]);
          } else if (error.category === "bad disk syntax") {
            // xl first takes what is before the `=` for a positional parameter, and does not see a
            // `=` that is the last character.
            expect(real.status === 1 || specs.some((spec) => spec.endsWith("="))).toBe(true);
          } else if (error.category !== "unknown value for colo_port") {
            // xl stops reading a port at the first character that is no digit.
            expect([real.output, real.status]).toEqual(["", 1]);
            expect(categories(real)[0]).toBe(error.category);
          }
        }),
        { numRuns: RUNS },
      );
    }, 120_000);

    test("network interfaces", () => {
      const list = fc.array(item.filter((text) => !text.startsWith("vlan=")), { maxLength: 4 });
      fc.assert(
        fc.property(list, (items) => {
          const { output, error } = attempt(() => nicDryRun(parseNic(items).nic));
          const real = xl.run("network-attach", items);
          if (error === undefined) {
            expect([real.output, real.status]).toEqual([output, 0]);
          } else if (!isStricter(error)) {
            expect([real.output, real.status]).toEqual(["", 1]);
            if (error.device === "vif" && real.errors.includes("config parsing error in vif")) {
              expect(real.errors).toContain(`error in vif: ${error.category} in`);
            }
          }
        }),
        { numRuns: RUNS },
      );
    }, 120_000);
  });
}

/** What we refuse and xl cuts to size: numbers that do not fit, and octal ones with an 8 or a 9. */
function isStricter({ category, place: { text } }: SpecError): boolean {
  if (/^(mtu|devid)=\d+$/.test(text)) return category === "Invalid parameter";
  return category.startsWith("invalid r") && /[=@]0\d*[89]/.test(text);
}
