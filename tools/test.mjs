// @ts-check
/**
 * What `npm test` and `npm run test:more` do after the setup; `--help` tells how.
 *
 * A file whose name ends in `.more.test.ts` is long: it takes more than ten seconds with real
 * programs and processes, or draws what it does with them at random. All others are `npm test`'s,
 * wherever in the repository they are; so each file is in one of the two.
 *
 * Tests run in two lanes at a time: those that share the machine's loop devices and interfaces
 * one after the other, the rest beside them; what the second lane prints comes when it has ended.
 *
 * Files that start the program do so by XDEVD_BINARY, or from the sources, on Bun. In `npm test` that is
 * the small binary, made for it; in `npm run test:more` they run twice more: from the sources, and on
 * a small binary with the compiler's sanitizers. Where no small one can be made a line says why (with
 * CI set that is a failure). Files that are named run on what XDEVD_BINARY names.
 *
 * The last line printed is `N passed, N failed` (and `, N skipped`). Every test file has to report
 * at least one test, be it a skipped one: a file that breaks while it is loaded counts as a failure.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const help = `npm test [-- FILE … | -t PATTERN | --list]
npm run test:more [-- --list]
npm run check

npm test checks format, lint and types, and runs the tests; test:more runs those that take long, or need
unusual packages, and the others once more on other binaries; check does only the first three. The last line is
"N passed, N failed"; the status is 1 if any failed.

  FILE …      only these files or directories, short and long ones, without the checks
  -t PATTERN  only tests whose names match; all other options are those of bun test, too
  --list      only print which files would be run
  --help      this

XDEVD_BINARY names the program that is tested, in place of one that is made for it.
`;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const limitMinutes = process.argv.includes("--more") ? 40 : 12;
const timeoutText = `not done after ${limitMinutes} minutes`;
const bin = join(root, "node_modules", ".bin");
/** Reports; each has a name of its own until it has been read, as two of these may run at once. */
const build = join(root, "build");
/**
 * Tests of the machine itself. Xen's script asks which loop device is free, and then takes it: whoever takes
 * one in between makes it fail.
 */
const machineLane =
  /^test\/(real\/(?!xenstore(?!_tools_scripts)|hotplug_v2\.|specs|nodes|conformance)|platform\/block_devices|plugins\/(conformance|hostile)|docs\/commands)/;
/** What `bun test` takes for a test file, but for `resolved_spec.ts` and the like. */
const testFile = /([._]test|\.spec)\.[cm]?[jt]sx?$/;
const longTestFile = /\.more\.test\.[cm]?[jt]sx?$/;
/** How fast one guest is served beside another: of a binary with sanitizers that says nothing. */
const ofSpeed = /^test\/real\/fairness\.test/;
/** Has tests that start the program. */
const startsProgram =
  /\b(runProgram|program(Command|Binary)|DaemonProcess)\b.*daemon_process\.ts"/s;
/** Not the project's own files: .gitignore's directories. */
const foreign = /^(\.git|node_modules|build|dist|test\/(xen|boot)\/(cache|runs))$|\/node_modules$/;

/** Runs of `bun test` so far. */
let runCount = 0;

const deadline = Date.now() + limitMinutes * 60 * 1000;

await main();

async function main() {
  const given = process.argv.slice(2);
  if (given.includes("--help")) return void process.stdout.write(help);
  if (given.length === 1 && given[0] === "--check") {
    const status = await runChecks();
    process.exitCode = status === 0 ? 0 : 1;
    return;
  }
  const [list, more] = [given.includes("--list"), given.includes("--more")];
  const args = given.filter((arg) => arg !== "--list" && arg !== "--more");
  if (args.length > 0 && (list || more)) {
    return finish(0, 1, 0, `${list ? "--list" : "--more"}: expected without ${args.join(" ")}`);
  }
  const ofCommand = testFiles(".").filter((file) => longTestFile.test(file) === more);
  if (list) return console.log(ofCommand.join("\n"));
  if (given.length === 0 && !(await checksPass())) return;

  const typo = args.find((arg) => isPathLike(arg) && !existsSync(join(root, arg)));
  if (typo !== undefined) return finish(0, 1, 0, `there is no ${typo}`);
  const chosen = args.filter(isPathLike);
  const options = args.filter((arg) => !isPathLike(arg));
  const files = args.length === 0
    ? ofCommand
    : [...new Set((chosen.length > 0 ? chosen : ["."]).flatMap(testFiles))];
  if (files.length === 0) return finish(0, 0, 0, "there are no test files there");

  mkdirSync(build, { recursive: true });
  if (args.length > 0) return conclude([await runLane({ files, options })], options);
  const lanes = more ? await longLanes(files) : await shortLanes(files);
  if (lanes === null) return;
  conclude((await Promise.all(lanes.map(runInTurn))).flat(), []);
}

/** @typedef {{ files: string[], options?: string[], binary?: string, held?: boolean }} Run */

/** `npm test`: all on the small binary. @returns {Promise<Run[][] | null>} null: it said why not */
async function shortLanes(/** @type {string[]} */ files) {
  const small = await testedBinary("small");
  if (small === null) return null;
  return lanesOf(files).map((files, number) => [
    { files, held: number > 0, ...(small === "" ? {} : { binary: small }) },
  ]);
}

/** `npm run test:more`. @returns {Promise<Run[][] | null>} null: it said why not */
async function longLanes(/** @type {string[]} */ files) {
  const short = testFiles(".").filter((file) => !longTestFile.test(file))
    .filter((file) => startsProgram.test(readFileSync(join(root, file), "utf8")));
  const sanitized = await testedBinary("sanitized");
  if (sanitized === null) return null;
  return lanesOf(files).map((files, number) => {
    const again = lanesOf(short)[number] ?? [];
    const held = number > 0;
    return [
      { files: [...files, ...again], held },
      ...(sanitized === ""
        ? []
        : [{ files: again.filter((file) => !ofSpeed.test(file)), held, binary: sanitized }]),
    ];
  });
}

/** Those that share what the machine has one of; and the rest. */
function lanesOf(/** @type {string[]} */ files) {
  return [
    files.filter((file) => machineLane.test(file)),
    files.filter((file) => !machineLane.test(file)),
  ];
}

/**
 * Makes a binary of this kind, unless XDEVD_BINARY names one.
 * @returns {Promise<string | null>} its file; empty: what it is made with is not there, and a line said so;
 * null: that is a failure, and the end was printed
 */
async function testedBinary(/** @type {"small" | "sanitized"} */ kind) {
  const given = process.env["XDEVD_BINARY"];
  if (given && kind === "small") return given;
  const file = join(build, "tested", `xdevd-${kind}`);
  mkdirSync(dirname(file), { recursive: true });
  const status = await run(join(bin, "bun"), ["compile/tested.ts", kind, file]);
  if (status === 0) return file;
  if (status === 3 && !process.env["CI"]) {
    console.log("so what starts the program runs it from the sources, on Bun");
    return "";
  }
  finish(0, 1, 0, `the ${kind} binary for the tests could not be made, which counts as 1 failure`);
  return null;
}

/** One after the other. @param {Run[]} runs */
async function runInTurn(runs) {
  const results = [];
  for (const one of runs) if (one.files.length > 0) results.push(await runLane(one));
  return results;
}

/**
 * Runs test files one after the other.
 * @param {Run} run `binary`: what they start in place of the sources; `held`: what they print comes at
 * their end
 */
async function runLane({ files, options = [], binary, held = false }) {
  const number = runCount++;
  const ownReport = join(build, `junit.${process.pid}.${number}.xml`);
  const started = Date.now();
  const status = await run(join(bin, "bun"), [
    "test",
    // Waits inside the tests are shorter, and say what they waited for.
    "--timeout=30000",
    "--reporter=junit",
    `--reporter-outfile=${ownReport}`,
    ...options,
    ...files.map((file) => `./${file}`),
  ], { held, ...(binary === undefined ? {} : { env: { XDEVD_BINARY: binary } }) });
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  const on = binary === undefined ? "" : ` on ${relative(root, binary)}`;
  console.log(`${files.length} files${on}: ${seconds} s`);
  return { files, status, ...readReport(ownReport, number) };
}

/**
 * Format, lint and types, as the task `check` in deno.json has them. Not by `deno task`: that takes
 * the binary it finds as node_modules/.bin/deno for a script.
 */
function runChecks() {
  return run("/bin/sh", [
    "-c",
    JSON.parse(readFileSync(join(root, "deno.json"), "utf8")).tasks.check,
  ]);
}

async function checksPass() {
  const status = await runChecks();
  if (status === 0) return true;
  const problem = status === "timeout" ? timeoutText : "format, lint or types: the check failed";
  finish(0, 1, 0, `${problem}, so no test was run; the check counts as 1 failure`);
  return false;
}

/**
 * Prints the end.
 * @param {({ files: string[], status: number | "timeout" } & ReturnType<typeof readReport>)[]} results
 * @param {string[]} options
 */
function conclude(results, options) {
  const sum = (/** @type {"tests" | "failures" | "skipped"} */ name) =>
    results.reduce((total, result) => total + result[name], 0);
  const [tests, failures, skipped] = [sum("tests"), sum("failures"), sum("skipped")];
  let failed = failures;
  const problems = [];
  for (const { status, seen } of results) {
    if (status === "timeout") problems.push(`${timeoutText}: stopped, the test named last hung`);
    else if (seen === null) problems.push(`bun test ended with ${status} and no report`);
  }
  if (problems.length === 0 && options.length === 0) {
    const silent = results.flatMap(({ files, seen }) => files.filter((file) => !seen?.has(file)));
    for (const file of silent) {
      problems.push(`${file} reported no test: it broke while loading, or has none`);
    }
  }
  failed += problems.length;
  const odd = results.find(({ status }) => status !== 0)?.status;
  if (odd !== undefined && failed === 0 && tests > skipped) {
    problems.push(`bun test ended with ${odd}: an error outside of any test`);
    failed = 1;
  }
  finish(tests - failures - skipped, failed, skipped, ...problems);
}

/**
 * Bun's report: its totals, and which files are in it (null if it was not written).
 * @param {string} ownReport
 * @param {number} number of its lane
 */
function readReport(ownReport, number) {
  const none = {
    tests: 0,
    failures: 0,
    skipped: 0,
    seen: /** @type {Set<string> | null} */ (null),
  };
  if (!existsSync(ownReport)) return none;
  const xml = readFileSync(ownReport, "utf8");
  renameSync(ownReport, join(build, number === 0 ? "junit.xml" : `junit.${number + 1}.xml`));
  const totals = /<testsuites [^>]*>/.exec(xml)?.[0];
  if (totals === undefined) return none;
  const total = (/** @type {string} */ name) =>
    Number(new RegExp(` ${name}="(\\d+)"`).exec(totals)?.[1] ?? 0);
  const seen = new Set(
    [...xml.matchAll(/<testsuite [^>]*? file="([^"]*)"/g)].map(([, file]) => String(file)),
  );
  return { tests: total("tests"), failures: total("failures"), skipped: total("skipped"), seen };
}

/**
 * Prints the end of it all and sets the exit code.
 * @param {number} passed
 * @param {number} failed
 * @param {number} skipped
 * @param {string[]} problems what went wrong besides failing tests
 */
function finish(passed, failed, skipped, ...problems) {
  console.log("");
  const noneRan = passed + failed === 0;
  for (const problem of problems) console.log(`npm test: ${problem}`);
  if (noneRan) console.log("npm test: no test ran, which counts as a failure");
  const tail = skipped > 0 ? `, ${skipped} skipped` : "";
  console.log(`${passed} passed, ${failed} failed${tail}`);
  process.exitCode = failed > 0 || noneRan ? 1 : 0;
}

/** Does this argument name files, rather than being an option of `bun test` or its value? */
function isPathLike(/** @type {string} */ arg) {
  return !arg.startsWith("-") && (/\.tsx?$/.test(arg) || arg.startsWith("test/") || arg === "test");
}

/**
 * The test files at a path below the repository: itself, or all in it.
 * @param {string} path
 * @returns {string[]}
 */
function testFiles(path) {
  const clean = relative(root, join(root, path));
  if (statSync(join(root, clean)).isFile()) return [clean];
  return readdirSync(join(root, clean), { withFileTypes: true })
    .map((entry) => ({ entry, at: join(clean, entry.name) }))
    .filter(({ entry, at }) => entry.isDirectory() ? !foreign.test(at) : testFile.test(entry.name))
    .flatMap(({ entry, at }) => entry.isDirectory() ? testFiles(at) : [at])
    .sort();
}

/**
 * Runs a program to its end, or to the time limit.
 * @param {string} program
 * @param {string[]} args
 * @param {{ held?: boolean, env?: Record<string, string> }} how `held`: what it prints is held back until
 * it has ended; `env`: more of the environment
 * @returns {Promise<number | "timeout">} its exit code; 128 and the signal's number if one ended it
 */
function run(program, args, { held = false, env = {} } = {}) {
  return new Promise((resolve) => {
    let timedOut = false;
    const child = spawn(program, args, {
      cwd: root,
      stdio: ["ignore", held ? "pipe" : "inherit", held ? "pipe" : "inherit"],
      env: {
        ...process.env,
        PATH: `${bin}:${process.env["PATH"]}`,
        DENO_NO_UPDATE_CHECK: "1",
        ...env,
      },
      // The checks' shell has children: a group of their own, so that a signal reaches all.
      detached: true,
    });
    /** @type {Buffer[]} */
    const printed = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk) => printed.push(chunk));
    }
    const forward = (/** @type {NodeJS.Signals} */ signal) => signalGroup(child.pid, signal);
    const signals = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);
    for (const signal of signals) process.on(signal, forward);
    const timer = setTimeout(() => {
      timedOut = true;
      forward("SIGTERM");
      setTimeout(() => forward("SIGKILL"), 5000).unref();
    }, deadline - Date.now());
    const ended = (/** @type {number} */ status) => {
      clearTimeout(timer);
      for (const signal of signals) process.off(signal, forward);
      for (const chunk of printed) process.stdout.write(chunk);
      resolve(timedOut ? "timeout" : status);
    };
    child.once("error", (error) => {
      console.error(`npm test: ${program}: ${error.message}`);
      ended(127);
    });
    child.once(held ? "close" : "exit", (code) => ended(code ?? 128));
  });
}

/**
 * @param {number | undefined} leader
 * @param {NodeJS.Signals} signal
 */
function signalGroup(leader, signal) {
  try {
    if (leader !== undefined) process.kill(-leader, signal);
  } catch {
    // It has ended.
  }
}
