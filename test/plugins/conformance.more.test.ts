/** The conformance suite: what is sound passes, and what is broken is caught by the rule's name. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RULES } from "../../simulation/plugin_check/suite.ts";
import { requireReal } from "../real/requirements.ts";
import { runProgram } from "../support/daemon_process.ts";
import { writeProcessPlugin } from "../support/plugin_files.ts";

/** A check takes some seconds, and more on a busy machine. */
setDefaultTimeout(90_000);

const broken = join(dirname(fileURLToPath(import.meta.url)), "broken");
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "xdevd-conformance-"));
  // Says each answer twice.
  writeProcessPlugin(
    join(directory, "protocol"),
    "on.call = (call) => { done(call); done(call); };",
  );
});

afterAll(() => rmSync(directory, { recursive: true }));

interface Report {
  readonly passed: boolean;
  readonly rules: readonly { rule: string; faults: string[] }[];
  /** What had to be taken away after it. */
  readonly removed: readonly string[];
}

async function check(file: string, ...options: string[]): Promise<Report> {
  const { stdout, stderr, code } = await runProgram(
    ["plugin", "check", file, "--json", ...options],
    {},
    60_000,
  );
  if (stdout === "") throw new Error(stderr);
  const report = JSON.parse(stdout) as Report;
  expect(code).toBe(report.passed ? 0 : 1);
  return report;
}

const names = RULES.map(({ name }) => name);

/** With a template of their own, served by QEMU, by a kernel alone, and one's own. */
const KINDS = ["vbd", "vbd3", "vif", "qdisk", "vinput", "mine"];
/** What needs loop devices and bridges needs root. */
const NEW_KINDS = process.getuid?.() === 0 ? KINDS : KINDS.slice(3);

describe("each rule has a plugin that breaks it", () => {
  test("and there is no other", () => {
    const files = readdirSync(broken).filter((file) => file !== "good.ts");
    const covered = files.map((file) => file.replace(/\.ts$/, "").replaceAll("_", "-"));
    expect([...covered, "protocol"].sort()).toEqual([...names].sort());
  });

  test.each(names)("%s", async (name) => {
    const file = name === "protocol"
      ? join(directory, "protocol")
      : join(broken, `${name.replaceAll("-", "_")}.ts`);
    const { rules } = await check(file, "--only", name, "--time-limit", "1");
    expect(rules.map(({ rule }) => rule)).toEqual([name]);
    expect(rules[0]!.faults.length).toBeGreaterThan(0);
  });
});

describe("what is sound passes", () => {
  const sound = async (file: string) => {
    const { rules, removed } = await check(file);
    // Nor is it told of what the daemon itself keeps: helpers that ask storage.
    expect(removed).toEqual([]);
    expect(rules.filter(({ faults }) => faults.length > 0)).toEqual([]);
    expect(rules).toHaveLength(RULES.length);
  };

  test("the plugin that the broken ones are made from", () => sound(join(broken, "good.ts")));
  test("our own: vbd", () => sound("vbd"));
  test("our own: vif", () => sound("vif"));
  test("our own: qemu", () => sound("qemu"));
  test("our own: generic", () => sound("generic"));

  if (requireReal("our own: vtpm", { packages: ["swtpm"], root: true })) {
    test("our own: vtpm", () => sound("vtpm"));
  }
  test("the example with a server", () => sound(join(broken, "../../../examples/random.ts")));

  test.each(NEW_KINDS.flatMap((kind) => [[kind, "module"], [kind, "process"]] as const))(
    "`plugin new`, untouched: kind %s as %s",
    async (kind, carrier) => {
      const args = [`fresh-${kind}-${carrier}`, "--kind", kind, "--carrier", carrier];
      const { code, stdout } = await runProgram(["plugin", "new", ...args, "--dir", directory]);
      expect(code).toBe(0);
      const file = /^(\S+): a plugin for kind /.exec(stdout)?.[1];
      await sound(file!);
    },
  );
});
