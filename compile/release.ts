/** `npm run release`: a folder with all that is given to others. `--help` tells how. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { commandLine } from "../tools/command_line.ts";
import { run } from "./check/foreign.ts";
import { writeChecksums } from "./papers.ts";
import { releaseNotes } from "./release_notes.ts";
import { compilerVersion } from "./small/engine.ts";
import { commit } from "./sources.ts";
import { TARGETS } from "./targets.ts";

const help = `npm run release [-- OPTIONS]

Makes a folder of a version: both binaries for ${
  TARGETS.map(({ name }) => name).join(" and ")
}, each with its
bill of materials, the Debian packages, NOTES.md, and SHA256SUMS over all of it, which is what is to be
signed (docs/releases.md). It needs what npm run compile -- --small and npm run package need, and a
tree that is as its commit. The status is 1 if that fails, 2 for a wrong command line.

  --outdir DIR       in place of dist/release-${manifest.version}; it must not be there yet
  --draft            also of a tree that was changed
  --help             this
`;

const { values } = commandLine("release", help, {
  options: {
    outdir: { type: "string", default: `dist/release-${manifest.version}` },
    draft: { type: "boolean", default: false },
  },
});

try {
  release(values.outdir);
} catch (error) {
  console.error(`release: ${(error as Error).message}`);
  process.exit(1);
}

function release(outdir: string): void {
  const from = commit();
  if (from === null) throw new Error("this is no git repository: a release is of a commit");
  if (from.endsWith("-modified") && !values.draft) {
    throw new Error("the tree is not as its commit: commit what was changed, or use --draft");
  }
  if (fs.existsSync(outdir)) throw new Error(`${outdir} is there already: remove it first`);
  // The folder has its name when it is whole.
  const part = `${outdir}.part`;
  fs.rmSync(part, { recursive: true, force: true });
  fs.mkdirSync(part, { recursive: true });
  // One after the other and not both: a small one that is missing is a failure here.
  compile("compile.ts", "--small", "--all", "--outdir", part);
  compile("compile.ts", "--full", "--all", "--outdir", part);
  compile("package.ts", "--outdir", part);
  fs.rmSync(join(part, "SHA256SUMS"));
  const files = fs.readdirSync(part).sort()
    .map((name) => ({ name, bytes: fs.statSync(join(part, name)).size }));
  const notes = releaseNotes({
    version: manifest.version,
    commit: from,
    date: run(["git", "log", "-1", "--format=%cs"]).trim(),
    compilers: TARGETS.map((target) => `${target.name}: ${compilerVersion(target)}`),
    files,
    changes: changesSinceTag(),
  });
  fs.writeFileSync(join(part, "NOTES.md"), notes);
  writeChecksums([...files.map(({ name }) => name), "NOTES.md"].map((name) => join(part, name)));
  fs.renameSync(part, outdir);
  const megabytes = files.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6;
  console.log(`${outdir}: ${files.length + 2} files, ${megabytes.toFixed(0)} MB; to be signed:`);
  console.log(`${outdir}/SHA256SUMS (docs/releases.md)`);
}

function compile(program: string, ...args: string[]): void {
  const { status } = spawnSync(process.execPath, [`compile/${program}`, ...args], {
    stdio: "inherit",
  });
  if (status !== 0) throw new Error(`compile/${program} has failed, see above`);
}

/** First lines of the commits since the last tag `v…` before this; null without one. */
function changesSinceTag(): { tag: string; lines: readonly string[] } | null {
  const described = spawnSync("git", ["describe", "--tags", "--abbrev=0", "--match=v*", "HEAD~1"], {
    encoding: "utf8",
  });
  if (described.status !== 0) return null;
  const tag = described.stdout.trim();
  const log = run(["git", "log", "--reverse", "--format=%s", `${tag}..HEAD`]).trim();
  return { tag, lines: log === "" ? [] : log.split("\n") };
}
