/** `npm run compile`: one file with the runtime and everything else in it. `--help` tells how. */
import { mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { commandLine, refuse } from "../tools/command_line.ts";
import { bundlePlugin } from "../commands/plugin/bundle.ts";
import { builtIns } from "../built_in.ts";
import { build, commit } from "./build.ts";
import { check } from "./check/check.ts";
import { chosenTargets } from "./chosen_targets.ts";
import { writeBill, writeChecksums } from "./papers.ts";
import { buildSmall } from "./small/link.ts";
import { TARGETS } from "./targets.ts";

const names = builtIns.map(({ manifest }) => manifest.name);

const help = `npm run compile [-- OPTIONS]
npm run compile -- plugins [--outdir DIR]

Makes dist/xdevd, for this machine; with plugins, each backend as a file of its own
(dist/plugins/vbd.js). The status is 1 if that fails, 2 for a wrong command line.

  --target TARGET,…  dist/xdevd-TARGET instead, each with a bill of materials, and SHA256SUMS:
    ${TARGETS.map(({ name }) => name).join(", ")}
  --all              all of these
  --check            build again, compare, and run what can be run here (with --target or --all)
  --with NAME,…      only these backends are built in: ${names.join(", ")}; or none
  --small            dist/xdevd-small instead: static, without a runtime to ship (needs apt and gcc)
  --outfile FILE     in place of dist/xdevd, or of dist/xdevd-small
  --outdir DIR       in place of dist or dist/plugins
  --help             this
`;

const { values, positionals } = commandLine("compile", help, {
  options: {
    outfile: { type: "string" },
    outdir: { type: "string" },
    with: { type: "string" },
    target: { type: "string" },
    all: { type: "boolean" },
    small: { type: "boolean" },
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
  if (values.small) {
    for (const option of ["all", "target", "check", "outdir"] as const) {
      if (values[option] !== undefined) usage(`--${option}: expected without --small`);
    }
    const outfile = values.outfile ?? "dist/xdevd-small";
    await buildSmall({ outfile, plugins });
    report(outfile, plugins);
    return;
  }
  if (values.all && values.target !== undefined) usage("--all: expected without --target");
  const targets = values.all
    ? TARGETS
    : values.target === undefined
    ? []
    : chosenTargets("compile", values.target);
  if (targets.length === 0) {
    for (const option of ["check", "outdir"] as const) {
      if (values[option] !== undefined) usage(`--${option}: expected with --all or --target`);
    }
    const outfile = values.outfile ?? "dist/xdevd";
    await build({ outfile, plugins, target: null });
    report(outfile, plugins);
    return;
  }
  if (values.outfile !== undefined) {
    usage("--outfile: expected without --all and --target; --outdir is for those");
  }
  const outdir = values.outdir ?? "dist";
  const files: string[] = [];
  for (const target of targets) {
    const outfile = join(outdir, `xdevd-${target.name}`);
    const inputs = await build({ outfile, plugins, target });
    files.push(outfile, writeBill(outfile, inputs, target, plugins, commit()));
    report(outfile, plugins);
  }
  console.log(writeChecksums(files));
  if (values.check) await check(targets, plugins, outdir);
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
