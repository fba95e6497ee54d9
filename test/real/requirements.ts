/** Whether the machine has what a test against real programs needs. Nothing is skipped silently. */
import { test } from "bun:test";
import * as fs from "node:fs";
import { systemPackages } from "../../tools/system_packages.mjs";

/** What a test needs; all of it. */
export interface RealNeeds {
  /** Debian packages by name, each listed in `tools/system_packages.mjs`. */
  readonly packages?: readonly string[];
  /** Whether it needs to be root. */
  readonly root?: boolean;
  /** Anything else that was found missing, in words; null or absent when nothing is. */
  readonly lacking?: string | null;
}

/** The packages that `startXenstored` needs. */
export const xenstoredPackages = [
  "xen-utils-4.17",
  "xenstore-utils",
  "libxen-dev",
  "gcc",
  "libc6-dev",
  "make",
  "util-linux",
] as const;

/**
 * To be called at the top of a test file, around whose tests an `if` on the result goes. Where
 * something is missing it registers one skipped test that says so and prints it as one line.
 * @param what what is tested, such as "wire format against the real xenstored"
 * @throws Error under CI=true, where everything has to run
 */
export function requireReal(what: string, needs: RealNeeds): boolean {
  const explanation = explainMissing(what, needs);
  if (explanation === null) return true;
  if (process.env["CI"] === "true") throw new Error(explanation);
  console.error(explanation);
  test.skip(explanation, () => {});
  return false;
}

/** One line that names what is not run and what would make it run; null if it can run. */
export function explainMissing(what: string, needs: RealNeeds): string | null {
  const packages = (needs.packages ?? []).filter((name) => !isInstalled(name));
  const missing: string[] = [];
  if (packages.length > 0) missing.push(packages.join(" "));
  if (needs.root === true && process.getuid?.() !== 0) missing.push("root");
  if (needs.lacking) missing.push(needs.lacking);
  if (missing.length === 0) return null;
  const remedy = packages.length > 0
    ? "; installed by, as root on Debian 12: npm run setup -- --system"
    : "";
  return `NOT RUN: ${what}: missing ${missing.join(", ")}${remedy}`;
}

function isInstalled(name: string): boolean {
  const entry = systemPackages.find((candidate) => candidate.name === name);
  if (entry === undefined) throw new Error(`${name} is not listed in tools/system_packages.mjs`);
  return fs.existsSync(entry.probe);
}
