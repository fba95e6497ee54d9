/** `npm run test:boot`: the packages on systems that boot, in QEMU. `--help` tells how. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { commandLine, refuse } from "../../tools/command_line.ts";
import { ImageError } from "../../compile/image/image_error.ts";
import { assemble, type Program } from "./host/assemble.ts";
import { BootError } from "./host/boot_error.ts";
import { boot } from "./host/machine.ts";
import { count, readResults } from "./host/results.ts";
import { type Init, PACKAGES, provideRoot } from "./host/roots.ts";

const here = dirname(fileURLToPath(import.meta.url));
const project = resolve(here, "../..");
const keptRuns = 5;
const BINARY = "xdevd-linux-x64";
const NEWER = "newer.deb";
const FULL = "full.deb";
const inits = Object.keys(PACKAGES) as Init[];

const help = `npm run test:boot [-- OPTIONS]

Boots systems with the packages in QEMU: Debian with systemd, with sysvinit, and with OpenRC and the
binary alone; each with its own initramfs and a real xenstored, without Xen. Needs root, Debian 12, and the
packages that \`node tools/setup.mjs --system=boot\` installs; without them it fails. Each check is a
line; the last one is \`N passed, N failed\`. The status is 2 for a wrong command line.

  --only INIT    only this one: ${inits.join(", ")}; may be repeated
  --keep         keeps the disks and packages, and prints all that the machines say
  --program DIR  packages that an earlier run has kept, instead of new ones
  --help         this
`;

const { values: options } = commandLine("test:boot", help, {
  options: {
    only: { type: "string", multiple: true, default: [] },
    keep: { type: "boolean", default: false },
    program: { type: "string" },
  },
});

const began = performance.now();
const elapsed = () => ((performance.now() - began) / 1000).toFixed(0).padStart(3);
const say = (text: string) => console.log(`[${elapsed()} s] ${text}`);

try {
  process.exitCode = await main() ? 0 : 1;
} catch (error) {
  if (!(error instanceof ImageError)) throw error;
  console.error(`test/boot cannot run: ${error.message}`);
  console.log("0 passed, 1 failed");
  process.exitCode = 1;
}

async function main(): Promise<boolean> {
  const chosen = options.only.length === 0 ? inits : inits.filter((init) => {
    return options.only.includes(init);
  });
  const unknown = options.only.filter((name) => !inits.includes(name as Init));
  if (unknown.length > 0) {
    refuse("test:boot", `--only ${unknown.join(", ")}: there are ${inits.join(", ")}`);
  }
  if (process.getuid?.() !== 0) throw new BootError("it needs root, to make systems");
  process.chdir(project);
  const run = newRun();
  const packages = options.program ?? join(run, "program");
  if (options.program === undefined) makeProgram(packages);
  const program = programIn(packages);
  let passed = 0;
  let failed = 0;
  for (const init of chosen) {
    const results = await tryOut(init, program, join(run, init));
    passed += results.passed;
    failed += results.failed;
  }
  if (!options.keep) fs.rmSync(join(run, "program"), { recursive: true, force: true });
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0;
}

/** Boots one system, and tells what it has said. */
async function tryOut(init: Init, program: Program, directory: string) {
  fs.mkdirSync(directory);
  const root = provideRoot(init, join(here, "cache"), say);
  const machine = assemble(init, root, join(here, "inside"), program, directory);
  say(`booting ${init}; logs are in ${relative(project, directory)}`);
  const { text, timedOut } = await boot(machine, directory, (line) => tell(init, line));
  if (!options.keep) {
    for (const file of Object.values(machine)) fs.rmSync(file);
  }
  const results = readResults(text);
  if (!results.done) {
    const why = timedOut ? "the time is up" : "it ended before";
    console.log(`FAIL  ${init}: not run to its end (${why}); the end of its console:`);
    const lines = fs.readFileSync(join(directory, "console.log"), "utf8").trimEnd().split("\n");
    console.log(lines.slice(-15).join("\n"));
  }
  const counted = count(results);
  say(`${init}: ${counted.passed} passed, ${counted.failed} failed`);
  return counted;
}

/** What is shown while it runs. */
function tell(init: Init, line: string): void {
  const [, word, text] = /^@(passed|failed|note) (.*)$/.exec(line.trimEnd()) ?? [];
  if (word === "passed") say(`pass  ${init}: ${text}`);
  else if (word === "failed") say(`FAIL  ${init}: ${text}`);
  else if (word === "note") say(`      ${init}: ${text}`);
  else if (/^ {4}/.test(line) || options.keep) console.log(`        ${line.trimEnd()}`);
}

/** The packages as they are in the tree now, and one that is newer. */
function makeProgram(directory: string): void {
  say("making the packages");
  fs.mkdirSync(directory);
  npm("package.ts", "--target", "linux-x64", "--outdir", directory);
  npm("compile.ts", "--small", "--target", "linux-x64", "--outdir", directory);
  const scratch = join(directory, "scratch");
  const { package: made, newer, full } = programIn(directory);
  repack(made, newer, scratch, "+newer");
  repack(made.replace("/xdevd_", "/xdevd-full_"), full, scratch, "");
}

function programIn(directory: string): Program {
  const names = fs.existsSync(directory) ? fs.readdirSync(directory) : [];
  const found = names.find((name) => /^xdevd_.*_amd64\.deb$/.test(name));
  if (found === undefined) throw new BootError(`${directory}: there is no xdevd_*_amd64.deb`);
  return {
    package: join(directory, found),
    newer: join(directory, NEWER),
    full: join(directory, FULL),
    binary: join(directory, BINARY),
  };
}

/** The same package, packed quickly, with a longer version. */
function repack(from: string, to: string, scratch: string, more: string): void {
  must("dpkg-deb", ["-R", from, scratch]);
  const control = join(scratch, "DEBIAN/control");
  const text = fs.readFileSync(control, "utf8");
  fs.writeFileSync(control, text.replace(/^Version: .*/m, `$&${more}`));
  must("dpkg-deb", ["-Znone", "--root-owner-group", "-b", scratch, to]);
  fs.rmSync(scratch, { recursive: true });
}

function npm(script: string, ...args: string[]): void {
  must(process.execPath, [join(project, "compile", script), ...args]);
}

function must(program: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (status === 0) return;
  throw new BootError(`${program} ${args.join(" ")}: ${error?.message ?? `${stdout}${stderr}`}`);
}

/** A directory for this run's logs; the oldest are dropped. */
function newRun(): string {
  const runs = join(here, "runs");
  fs.mkdirSync(runs, { recursive: true });
  for (const name of fs.readdirSync(runs).sort().reverse().slice(keptRuns - 1)) {
    fs.rmSync(join(runs, name), { recursive: true, force: true });
  }
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  return fs.mkdtempSync(join(runs, `${stamp}-`));
}
