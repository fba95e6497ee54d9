/**
 * Makes `dist/xdevd`: one file with the runtime and everything else in it; or plugin files.
 *
 * `bun compile/compile.ts [--outfile FILE] [--with NAMES]`: `--with none` builds no backend in,
 * `--with vbd,vif` these; all by default.
 * `bun compile/compile.ts plugins [--outdir DIR]`: each backend as a file, `dist/plugins/vbd.js`.
 */
import { mkdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundlePlugin } from "../core/cli/plugin_bundle.ts";
import { builtIns } from "../built_in.ts";

const { values, positionals } = parseArgs({
  options: {
    outfile: { type: "string", default: "dist/xdevd" },
    outdir: { type: "string", default: "dist/plugins" },
    with: { type: "string" },
  },
  allowPositionals: true,
});

const names = builtIns.map(({ manifest }) => manifest.name);

if (positionals[0] === "plugins") {
  mkdirSync(values.outdir, { recursive: true });
  for (const name of names) {
    await bundlePlugin(resolve(`backends/${name}/plugin.ts`), join(values.outdir, `${name}.js`));
  }
} else await compile();

async function compile() {
  const chosen = values.with === undefined
    ? names
    : values.with === "none"
    ? []
    : values.with.split(",");
  const unknown = chosen.find((name) => !names.includes(name));
  if (unknown !== undefined || positionals.length > 0) {
    const what = unknown === undefined ? positionals[0] : `--with ${unknown}`;
    console.error(`compile: ${what}; expected plugins, --with none or --with ${names.join(",")}`);
    process.exit(2);
  }
  mkdirSync(dirname(values.outfile), { recursive: true });
  const result = await Bun.build({
    entrypoints: ["main.ts"],
    target: "bun",
    minify: { whitespace: true, syntax: true, identifiers: false },
    // What a command imports when it runs stays out of memory until then.
    splitting: true,
    // What lies in the directory that the daemon happens to be started in is none of its business.
    compile: { outfile: values.outfile, autoloadDotenv: false, autoloadBunfig: false },
    plugins: [{
      name: "built-ins",
      setup(build) {
        build.onLoad({ filter: /\/built_in\.ts$/ }, () => ({
          contents: builtInsSource(chosen),
          loader: "ts",
        }));
      },
    }],
  });
  for (const message of result.logs) console.error(message);
  if (!result.success) process.exit(1);
  const size = (statSync(values.outfile).size / 1e6).toFixed(1);
  console.log(`${values.outfile}: ${size} MB, with ${chosen.join(", ") || "no backend"}`);
}

/** `built_in.ts`, with these only. */
function builtInsSource(chosen: readonly string[]): string {
  const lines = chosen.map((name, index) =>
    `import { manifest as m${index} } from "./backends/${name}/manifest.ts";`
  );
  const entries = chosen.map((name, index) =>
    `{ manifest: m${index}, load: async () => ` +
    `(await import("./backends/${name}/plugin.ts")).default },`
  );
  return `${lines.join("\n")}\nexport const builtIns = [\n${entries.join("\n")}\n];\n`;
}
