/**
 * Makes `dist/xdevd`: one file with the runtime and everything else in it; or plugin files.
 *
 * `npm run compile`: for this machine.
 * `npm run compile -- --target linux-x64-musl,linux-arm64`: `dist/xdevd-TARGET`, each with a bill of
 *   materials, and SHA256SUMS; `--all`: for all targets. `--check` builds twice, compares, and runs
 *   what can be run here (see check/).
 * `--with none` builds no backend in, `--with vbd,vif` these; all by default.
 * `npm run compile -- plugins [--outdir DIR]`: each backend as a file, `dist/plugins/vbd.js`.
 */
import { mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundlePlugin } from "../core/cli/plugin_bundle.ts";
import { builtIns } from "../built_in.ts";
import { build, commit } from "./build.ts";
import { check } from "./check/check.ts";
import { writeBill, writeChecksums } from "./papers.ts";
import { targetNamed, TARGETS } from "./targets.ts";

const names = builtIns.map(({ manifest }) => manifest.name);

const { values, positionals } = parseArgs({
  options: {
    outfile: { type: "string" },
    outdir: { type: "string" },
    with: { type: "string" },
    target: { type: "string" },
    all: { type: "boolean" },
    check: { type: "boolean" },
  },
  allowPositionals: true,
});

try {
  if (positionals[0] === "plugins") await bundleAll(values.outdir ?? "dist/plugins");
  else if (positionals.length > 0) usage(`${positionals[0]}`);
  else await compile();
} catch (error) {
  console.error(`compile: ${(error as Error).message}`);
  process.exit(1);
}

async function bundleAll(outdir: string) {
  mkdirSync(outdir, { recursive: true });
  for (const name of names) {
    await bundlePlugin(resolve(`backends/${name}/plugin.ts`), join(outdir, `${name}.js`));
  }
}

async function compile() {
  const plugins = chosenPlugins();
  const targets = values.all === true
    ? TARGETS
    : values.target?.split(",").map((name) => targetNamed(name)) ?? [];
  if (targets.length === 0) {
    if (values.check) usage("--check without --all or --target");
    const outfile = values.outfile ?? "dist/xdevd";
    await build({ outfile, plugins, target: null });
    report(outfile, plugins);
    return;
  }
  if (values.outfile !== undefined) usage("--outfile with --target; --outdir is for those");
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
  if (unknown !== undefined) usage(`--with ${unknown}`);
  return chosen;
}

function usage(what: string): never {
  console.error(
    `compile: ${what}; expected plugins, --with none or --with ${names.join(",")}, ` +
      "--all, --target or --outfile",
  );
  process.exit(2);
}

function report(outfile: string, plugins: readonly string[]) {
  const size = (statSync(outfile).size / 1e6).toFixed(1);
  console.log(`${outfile}: ${size} MB, with ${plugins.join(", ") || "no backend"}`);
}
