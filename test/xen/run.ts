/**
 * `npm run test:xen`: all scenarios on a real Xen in QEMU, our daemon and `xl devd` side by side.
 * `--help` tells how.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { commandLine, refuse, wholeNumber } from "../../tools/command_line.ts";
import { footprint } from "./host/footprint.ts";
import { provideImages } from "./host/images.ts";
import { type Boot, type Side, writeInitrd } from "./host/initrd.ts";
import { LabError } from "./host/lab_error.ts";
import { writeMinimal } from "./host/minimal.ts";
import { runMachine } from "./host/qemu.ts";
import { report } from "./host/report.ts";
import { readScenarios, type Scenario } from "./host/scenarios.ts";
import { parseTranscript, type Transcript } from "./host/transcript.ts";

const lab = dirname(fileURLToPath(import.meta.url));
const project = resolve(lab, "../..");
const keptRuns = 10;
const machineMemory = 6144;
/** The one that boots the minimal driver domain. */
const minimalScenario = "minimal_domain";
const limits = { all: 4500, smoke: 600 };

/** In MiB. Each is unpacked to memory, twice for a moment: 50 MB, most of it QEMU; the full one's 116 MB more. */
const memories = { xdevd: 384, full: 832, xl: 384 };

const help = `npm run test:xen [-- OPTIONS]

Runs all scenarios on a real Xen in QEMU, our daemon and xl devd side by side, and writes
test/xen/report.md. Only our own failures make it fail. The last line printed is
\`N passed, N failed\`; the status is 2 for a wrong command line.

  --only NAME    only this scenario; may be repeated. No measurements (unless --bench), no report
  --bench        only the measurements; no report
  --rounds N     so many of each measurement (1 to 999; default: 10)
  --smoke        only the smoke scenario, with our daemon, small and full
  --no-peer      without xl devd; no report
  --debug        our daemon logs what it decides
  --keep         keeps the boot image and prints everything that dom0 says
  --daemon FILE  the small binary (default: compiled now, to dist/xdevd)
  --help         this
`;

const { values: options } = commandLine("test:xen", help, {
  options: {
    only: { type: "string", multiple: true, default: [] },
    smoke: { type: "boolean", default: false },
    "no-peer": { type: "boolean", default: false },
    bench: { type: "boolean", default: false },
    rounds: { type: "string", default: "10" },
    debug: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    daemon: { type: "string" },
  },
});

const rounds = wholeNumber("test:xen", "--rounds", options.rounds, { least: 1, most: 999 });
const began = performance.now();
const elapsed = () => ((performance.now() - began) / 1000).toFixed(0).padStart(3);
const say = (text: string) => console.log(`[${elapsed()} s] ${text}`);

try {
  process.exitCode = await main() ? 0 : 1;
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  console.error(`test/xen cannot run: ${error.message}`);
  console.log("0 passed, 1 failed");
  process.exitCode = 1;
}

async function main(): Promise<boolean> {
  const scenarios = chosenScenarios();
  const part = options.smoke || options.bench || options.only.length > 0;
  const complete = !part && !options["no-peer"];
  const images = provideImages(lab, say);
  const daemon = options.daemon ?? compileDaemon("xdevd");
  const directory = newRun();
  const initrd = join(directory, "initrd");
  const bench = complete || options.bench;
  const small = bench || scenarios.some(({ name }) => name === minimalScenario)
    ? compileDaemon("xdevd-minimal", ["--with", "vbd,vif", "--only", "devd"])
    : undefined;
  const minimal = small === undefined
    ? undefined
    : writeMinimal(directory, images.unpackedKernel, small);
  const sides: Side[] = [
    side("xdevd", { xdevd: daemon, ...(small === undefined ? {} : { "xdevd-minimal": small }) }),
    ...(bench || options.smoke
      ? [side("full", { xdevd: compileDaemon("xdevd-full", ["--full"]) })]
      : []),
    ...(options.smoke || options["no-peer"] ? [] : [side("xl", {})]),
  ];
  const plan = planOf(sides, scenarios, readScenarios(join(lab, "scenarios")), bench);
  const boot: Boot = {
    sides,
    plan,
    toolstack: daemon,
    ...(minimal === undefined ? {} : { minimal }),
    logLevel: options.debug ? "debug" : "info",
  };
  writeInitrd(lab, images, boot, initrd);
  for (const image of Object.values(minimal ?? {})) fs.rmSync(image);
  say(`booting Xen; logs are in ${relative(project, directory)}`);
  const { text, timedOut } = await runMachine({
    images,
    initrd,
    memory: machineMemory,
    limitSeconds: options.smoke ? limits.smoke : limits.all,
    directory,
    onLine: tell,
  });
  if (!options.keep) fs.rmSync(initrd);
  const transcript = parseTranscript(text);
  for (const [name, content] of transcript.files) fs.writeFileSync(join(directory, name), content);
  if (complete && transcript.status === 0) {
    fs.writeFileSync(
      join(lab, "report.md"),
      report(scenarios, transcript, footprint(daemon, join(project, "dist/xdevd-full"))),
    );
    say("test/xen/report.md is written");
  }
  return conclude(scenarios, transcript, timedOut, directory);
}

function chosenScenarios(): Scenario[] {
  const all = readScenarios(join(lab, "scenarios"));
  if (options.bench && options.only.length === 0) return [];
  if (options.smoke) return all.filter((scenario) => scenario.smokeOnly);
  const unknown = options.only.filter((name) => !all.some((scenario) => scenario.name === name));
  if (unknown.length > 0) {
    const names = [...new Set(all.map(({ name }) => name))].join(", ");
    refuse("test:xen", `--only ${unknown.join(", ")}: there are ${names}`);
  }
  return options.only.length > 0
    ? all.filter(({ name }) => options.only.includes(name))
    : all.filter((scenario) => !scenario.smokeOnly);
}

function side(name: Side["name"], daemons: Side["daemons"]): Side {
  return { name, memory: memories[name], daemons };
}

/** The plan for dom0, see domains/dom0/main. The full binary has the smoke scenario, whatever others have. */
function planOf(
  sides: readonly Side[],
  scenarios: readonly Scenario[],
  all: readonly Scenario[],
  bench: boolean,
): string {
  const lines = sides.flatMap(({ name: side, memory }) => [
    `memory ${side} ${memory}`,
    ...(side === "full"
      ? all.filter(({ smokeOnly }) => smokeOnly)
      : scenarios.filter(({ both }) => both || side === "xdevd"))
      .map(({ name, limit }) => `scenario ${side} ${limit} ${name}`),
  ]);
  if (bench) lines.push(`bench ${rounds}`);
  return lines.join("\n") + "\n";
}

/** The daemon as it is in the tree now: a stale binary would prove nothing. */
function compileDaemon(name: string, choice: readonly string[] = []): string {
  const outfile = join(project, "dist", name);
  const size = choice.includes("--full") ? [] : ["--small"];
  const { status } = spawnSync(
    process.execPath,
    [join(project, "compile", "compile.ts"), ...size, ...choice, "--outfile", outfile],
    { cwd: project, stdio: ["ignore", "ignore", "inherit"] },
  );
  if (status !== 0) throw new LabError("the daemon cannot be compiled");
  return outfile;
}

/** A directory for this run's logs; the oldest are dropped. */
function newRun(): string {
  const runs = join(lab, "runs");
  fs.mkdirSync(runs, { recursive: true });
  for (const name of fs.readdirSync(runs).sort().reverse().slice(keptRuns - 1)) {
    fs.rmSync(join(runs, name), { recursive: true, force: true });
  }
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  return fs.mkdtempSync(join(runs, `${stamp}-`));
}

/** What is shown while it runs: results, and what failed. */
function tell(line: string): void {
  const [word, side, name, code, seconds] = line.split(" ");
  if (word === "@result") {
    say(`${code === "0" ? "pass" : "FAIL"}  ${side}  ${name}  (${seconds} s)`);
  } else if (word === "@note") console.log(`        ${line.slice(6)}`);
  else if (word === "@up") say(`dom0 is up after ${side} s of its time`);
  else if (word === "@driver") say(`driver domain ${side} is up after ${name} s`);
  else if (/^@(start|sample|round|file|done)/.test(line)) return;
  else if (options.keep || /\| (FAIL|LEAK): /.test(line)) console.log(`        ${line}`);
}

/** Prints the end. @returns whether our side passed all of its scenarios. */
function conclude(
  scenarios: readonly Scenario[],
  transcript: Transcript,
  timedOut: boolean,
  directory: string,
): boolean {
  const ours = transcript.results.filter(({ side }) => side === "xdevd");
  const full = transcript.results.filter(({ side }) => side === "full");
  const peers = transcript.results.filter(({ side }) => side === "xl");
  const passed = ours.filter((result) => result.passed).length;
  const missing = scenarios.filter(({ name }) => !ours.some((result) => result.name === name));
  let failed = scenarios.length - passed + full.filter((result) => !result.passed).length;
  for (const { name } of missing) console.log(`not run to its end: ${name}`);
  if (timedOut) console.log("the machine was stopped: the time is up");
  if (transcript.status !== 0) {
    console.log(`dom0 ended with ${transcript.status ?? "no status"}; the end of its console:`);
    const lines = fs.readFileSync(join(directory, "console.log"), "utf8").trimEnd().split("\n");
    console.log(lines.slice(-15).join("\n"));
    failed = Math.max(failed, 1);
  }
  if (peers.length > 0) {
    const peerPassed = peers.filter((result) => result.passed).length;
    console.log(
      `xl devd, for comparison: ${peerPassed} passed, ${peers.length - peerPassed} failed`,
    );
  }
  const fullPassed = full.filter((result) => result.passed).length;
  if (full.length > 0) console.log(`the full binary: ${fullPassed} of ${full.length} passed`);
  console.log(`${passed + fullPassed} passed, ${failed} failed`);
  return failed === 0;
}
