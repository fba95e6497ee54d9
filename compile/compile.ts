/** `npm run compile`: one file with the runtime and everything else in it. `--help` tells how. */
import { mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { commandLine, refuse } from "../tools/command_line.ts";
import { bundlePlugin } from "../commands/plugin/bundle.ts";
import { builtIns } from "../built_in.ts";
import { type Binary, fileName, FULL, SMALL } from "./binaries.ts";
import { check, type Made } from "./check/check.ts";
import { chosenTargets } from "./chosen_targets.ts";
import { writeBill, writeChecksums } from "./papers.ts";
import type { Order } from "./sources.ts";
import { MissingPart } from "./small/missing.ts";
import { type Target, TARGETS } from "./targets.ts";

const names = builtIns.map(({ manifest }) => manifest.name);

const help = `npm run compile [-- OPTIONS]
npm run compile -- plugins [--outdir DIR]

Makes two binaries for this machine: dist/xdevd, small and static, which is what to copy, and
dist/xdevd-full with the runtime of the tests, for TypeScript plugins and drawings. The small one
needs apt and gcc (npm run setup -- --system); where one is missing, the full one is made, and a
line says why. With plugins, each backend is a file of its own (dist/plugins/vbd.js). The status
is 1 if that fails, 2 for a wrong command line.

  --small            only the small one; it fails where something is missing
  --full             only the full one
  --target TARGET,…  dist/xdevd-TARGET and dist/xdevd-full-TARGET instead, each with a bill of
                     materials, and SHA256SUMS: ${TARGETS.map(({ name }) => name).join(", ")}
  --all              all of these
  --check            build again, compare, and run what can be run here (with --target or --all)
  --with NAME,…      only these backends are built in: ${names.join(", ")}; or none
  --only devd        no other command than the daemon, its version, and the xenstore tools
  --outfile FILE     in place of dist/xdevd or dist/xdevd-full (with --small or --full)
  --outdir DIR       in place of dist or dist/plugins
  --help             this
`;

const { values, positionals } = commandLine("compile", help, {
  options: {
    outfile: { type: "string" },
    outdir: { type: "string" },
    with: { type: "string" },
    only: { type: "string" },
    target: { type: "string" },
    all: { type: "boolean" },
    small: { type: "boolean" },
    full: { type: "boolean" },
    check: { type: "boolean" },
  },
  allowPositionals: true,
});

try {
  if (positionals[0] === "plugins") await bundleAll(values.outdir ?? "dist/plugins");
  else if (positionals.length > 0) usage(`${positionals[0]}: expected plugins, or nothing`);
  else await compile();
} catch (error) {
  console.error(`compile: ${(error as Error).message}`);
  process.exit(1);
}

async function bundleAll(outdir: string) {
  const more = positionals[1] ?? Object.keys(values).filter((name) => name !== "outdir")
    .map((name) => `--${name}`)[0];
  if (more !== undefined) usage(`plugins ${more}: expected --outdir, or nothing`);
  mkdirSync(outdir, { recursive: true });
  for (const name of names) {
    await bundlePlugin(resolve(`backends/${name}/plugin.ts`), join(outdir, `${name}.js`));
  }
}

async function compile() {
  const plugins = chosenPlugins();
  const onlyDevd = values.only !== undefined;
  if (onlyDevd && values.only !== "devd") usage(`--only ${values.only}: expected devd`);
  if (onlyDevd && values.check) usage("--check: expected without --only");
  const targets = chosen();
  const outdir = values.outdir ?? "dist";
  const made: Made[] = [];
  const files: string[] = [];
  for (const target of targets) {
    for (const binary of wanted()) {
      const outfile = values.outfile ??
        join(outdir, target === null ? binary.name : fileName(binary, target));
      const inputs = await buildOrSay(binary, { outfile, plugins, target, onlyDevd });
      if (inputs === null) continue;
      report(outfile, plugins);
      if (target === null) continue;
      files.push(outfile, writeBill(binary, outfile, inputs, target, plugins));
      made.push({ binary, target });
    }
  }
  if (files.length > 0) console.log(writeChecksums(files));
  if (values.check) await check(made, plugins, outdir);
}

/** For what; null is this machine, for a file of a shorter name. */
function chosen(): readonly (Target | null)[] {
  if (values.all && values.target !== undefined) usage("--all: expected without --target");
  if (values.small && values.full) usage("--small --full: expected one of them, or none for both");
  if (values.all || values.target !== undefined) {
    if (values.outfile !== undefined) {
      usage("--outfile: expected without --all and --target; --outdir is for those");
    }
    return values.target === undefined ? TARGETS : chosenTargets("compile", values.target);
  }
  if (values.check) usage("--check: expected with --all or --target");
  if (values.outfile !== undefined) {
    if (values.outdir !== undefined) usage("--outfile: expected without --outdir");
    if (wanted().length > 1) {
      usage("--outfile: expected with --small or --full; --outdir is for both");
    }
  }
  return [null];
}

function wanted(): readonly Binary[] {
  return values.small ? [SMALL] : values.full ? [FULL] : [SMALL, FULL];
}

/** @returns the files that went in; null when it lacks something, and another one is made besides */
async function buildOrSay(binary: Binary, order: Order): Promise<readonly string[] | null> {
  try {
    return await binary.build(order);
  } catch (error) {
    if (!(error instanceof MissingPart)) throw error;
    if (wanted().length === 1) throw new Error(`${order.outfile}: ${error.message}`);
    console.error(`compile: ${order.outfile} is not made: ${error.message}`);
    return null;
  }
}

function chosenPlugins(): string[] {
  if (values.with === undefined) return names;
  const chosen = values.with === "none" ? [] : values.with.split(",");
  const unknown = chosen.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    usage(`--with ${unknown}: expected none, or some of ${names.join(",")}`);
  }
  return chosen;
}

function usage(what: string): never {
  return refuse("compile", what);
}

function report(outfile: string, plugins: readonly string[]) {
  const size = (statSync(outfile).size / 1e6).toFixed(1);
  console.log(`${outfile}: ${size} MB, with ${plugins.join(", ") || "no backend"}`);
}
