/**
 * How many small faults the tests notice: changes sources at random places, one at a time, and runs the
 * tests that are about the changed file. `npm run test:mutants -- 100`.
 *
 * All of it happens in a copy of the checkout below build/, never in the working tree.
 */
import { execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { commandLine, refuse, wholeNumber } from "../command_line.ts";
import { EQUIVALENT } from "./equivalent.ts";
import { Related } from "./related.ts";
import { type Mutant, mutantsOf, mutated, randomFrom, sample } from "./sites.ts";

const NAME = "test:mutants";
const HELP = `npm run test:mutants -- N [--seed S] [--under PATH]

Makes N mutants, one after the other, each a copy of the program with one small fault; runs the tests
that are nearest to the changed file; and prints which faults were noticed.

  --seed S      which ones: the same for the same sources (default 1)
  --under PATH  only of files whose paths begin so (core/xenstore/)
  --help        this

Status 1 when fewer than 95 % were noticed. What cannot be noticed is listed, with a reason, in
tools/mutants/equivalent.ts.
`;

/** What is changed: the program, but not what only the small binary has, nor texts for people. */
const SOURCES =
  /^(core|platform|backends|plugins|machine|commands|simulation)\/(?!quickjs|templates).*\.ts$/;
/** Tests that take part: those that are quick, and need nothing of the machine's. */
const TESTS =
  /^test\/(?!platform\/block_devices|real|xen|boot|soak|bench|integration|docs|compile|tools).*(?<!\.more)\.test\.ts$/;
/** How long a test file may take without a mutant, in ms; others are left out. */
const QUICK_MS = 30_000;
/** How long the tests of one mutant may take, in ms: a fault may make them wait for ever. */
const LIMIT_MS = 180_000;
/** Share of the mutants that the tests have to notice. */
const GOAL = 0.95;

type Outcome = "noticed" | "never ended" | "NOT NOTICED" | "equivalent" | "NO TESTS";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const copy = join(root, "build", "mutants");

const { values, positionals } = commandLine(NAME, HELP, {
  allowPositionals: true,
  options: { seed: { type: "string", default: "1" }, under: { type: "string", default: "" } },
});
if (positionals.length > 1) refuse(NAME, `${positionals[1]}: expected one number of mutants`);
const count = wholeNumber(NAME, "N", positionals[0] ?? "100", { least: 1, most: 100_000 });
const seed = wholeNumber(NAME, "--seed", values.seed);
/** Why a test takes no part, tried once without any fault; empty for those that do. */
const tried = new Map<string, string>();

process.exitCode = await main();

async function main(): Promise<number> {
  const files = makeCopy();
  const sources = files.filter((file) => SOURCES.test(file) && file.startsWith(values.under));
  const tests = files.filter((file) => TESTS.test(file));
  const related = new Related(copy, files.filter((file) => file.endsWith(".ts")), tests);
  const tested = sources.filter((file) => related.testsOf(file).length > 0);
  const all = tested.flatMap((file) => mutantsOf(file, readFileSync(join(copy, file), "utf8")));
  console.log(
    `${all.length} mutants of ${tested.length} files; ${count} of them, seed ${seed} ` +
      `(${sources.length - tested.length} files are tried only by running the program)`,
  );
  const outcomes: Outcome[] = [];
  for (const mutant of sample(all, count, randomFrom(seed))) {
    const started = performance.now();
    const outcome = await tryOne(mutant, related);
    outcomes.push(outcome);
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    const { file, line, what } = mutant;
    console.log(
      `${outcome.padEnd(11)} ${seconds.padStart(4)} s  ${file}:${line}  ${what}` +
        (outcome === "NOT NOTICED" ? `\n${" ".repeat(20)}${lineOf(mutant)}` : ""),
    );
  }
  return conclude(outcomes);
}

/** @returns the exit status */
function conclude(outcomes: readonly Outcome[]): number {
  const of = (...which: Outcome[]) => outcomes.filter((one) => which.includes(one)).length;
  const matter = outcomes.length - of("equivalent");
  const noticed = of("noticed", "never ended");
  const share = matter === 0 ? 1 : noticed / matter;
  console.log(
    `${noticed} of ${matter} noticed (${(share * 100).toFixed(0)} %), ` +
      `${of("NOT NOTICED")} not, ${of("NO TESTS")} have no tests here, ${
        of("equivalent")
      } are equivalent`,
  );
  return share >= GOAL ? 0 : 1;
}

/** Copies what git knows, and links the packages. @returns the files, relative to the root */
function makeCopy(): string[] {
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root });
  const files = listed.toString().split("\n")
    .filter((file) => file !== "" && existsSync(join(root, file)));
  rmSync(copy, { recursive: true, force: true });
  for (const file of files) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    cpSync(join(root, file), join(copy, file));
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  return files;
}

async function tryOne(mutant: Mutant, related: Related): Promise<Outcome> {
  if (isEquivalent(mutant)) return "equivalent";
  const tests: string[] = [];
  for (const test of related.testsOf(mutant.file)) {
    let unfit = tried.get(test);
    if (unfit === undefined) {
      const started = performance.now();
      const status = await run([test], QUICK_MS);
      const ms = performance.now() - started;
      unfit = status === "failed" ? "fails" : status === "late" ? `takes ${ms.toFixed(0)} ms` : "";
      tried.set(test, unfit);
      if (unfit !== "") console.log(`(left out: ${test} ${unfit} without a mutant)`);
    }
    if (unfit === "") tests.push(test);
  }
  if (tests.length === 0) return "NO TESTS";
  const path = join(copy, mutant.file);
  const source = readFileSync(path, "utf8");
  writeFileSync(path, mutated(source, mutant));
  try {
    const status = await run(tests);
    return status === "passed" ? "NOT NOTICED" : status === "failed" ? "noticed" : "never ended";
  } finally {
    writeFileSync(path, source);
  }
}

function isEquivalent(mutant: Mutant): boolean {
  const { file, what } = mutant;
  const line = lineOf(mutant);
  return EQUIVALENT.some((one) => one.file === file && one.line === line && one.what === what);
}

function lineOf({ file, line }: Mutant): string {
  return readFileSync(join(root, file), "utf8").split("\n")[line - 1]!.trim();
}

function run(tests: readonly string[], limitMs = LIMIT_MS): Promise<"passed" | "failed" | "late"> {
  return new Promise((resolve) => {
    const args = ["test", "--bail", "--timeout=20000", ...tests.map((test) => `./${test}`)];
    const child = spawn(join(root, "node_modules", ".bin", "bun"), args, {
      cwd: copy,
      stdio: "ignore",
      // With all that it starts.
      detached: true,
    });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      process.kill(-child.pid!, "SIGKILL");
    }, limitMs);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve(isLate ? "late" : code === 0 ? "passed" : "failed");
    });
  });
}
