/** The programs that build and try this project refuse a wrong command line in one line. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };

function run(program: string, args: readonly string[]) {
  const path = join(import.meta.dir, "../..", program);
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, path, ...args]);
  return { exitCode, stdout: String(stdout), stderr: String(stderr) };
}

describe.each([
  ["compile/compile.ts"],
  ["compile/package.ts"],
  ["compile/release.ts"],
  ["compile/minimal_domain.ts"],
  ["test/bench/run.ts"],
  ["test/boot/run.ts"],
  ["test/soak/soak.ts"],
  ["test/xen/run.ts"],
  ["test/real/crash_run.ts"],
  ["tools/docs/write.ts"],
  ["tools/mutants/mutants.ts"],
])("%s", (program) => {
  test("refuses an option that there is not", () => {
    const { exitCode, stdout, stderr } = run(program, ["--frob"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toMatch(/^\S+: Unknown option '--frob' \(--help tells more\)\n$/);
  });

  test("tells of its options", () => {
    const { exitCode, stdout, stderr } = run(program, ["--help"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toMatch(/^(npm run|node_modules\/.bin\/bun) \S+/);
    expect(stdout).toContain("--help");
    expect(stdout.split("\n").filter((line) => line.length > 120)).toEqual([]);
  });
});

describe("--help of each npm script", () => {
  const scripts = Object.entries(manifest.scripts as Record<string, string>);

  test.each(scripts)("%s", (name, line) => {
    // What npm adds goes to the last command; none before it does anything but the setup.
    const commands = line.split(" && ");
    expect(commands.slice(0, -1).filter((one) => !one.startsWith("node tools/setup.mjs"))).toEqual(
      [],
    );
    const [program, ...args] = commands.at(-1)!.split(" ");
    const file = program === "node" ? "node" : process.execPath;
    const { exitCode, stdout, stderr } = Bun.spawnSync([file, ...args, "--help"], {
      cwd: join(import.meta.dir, "../.."),
    });
    expect({ exitCode, stderr: String(stderr) }).toEqual({ exitCode: 0, stderr: "" });
    const words = name === "demo" || name === "sandbox"
      ? `Usage: xdevd ${name}`
      : name === "test"
      ? "npm test"
      : `npm run ${name}`;
    expect(String(stdout)).toContain(words);
    expect(String(stdout)).toContain("--help");
  });
});

test.each([
  ["compile/compile.ts", ["--target", "sparc"], /^compile: --target sparc: expected linux-x64, /],
  ["compile/compile.ts", ["--with", "vbd,x"], /^compile: --with x: expected none, or some of /],
  ["compile/compile.ts", ["plugin"], /^compile: plugin: expected plugins, or nothing/],
  ["compile/compile.ts", ["--check"], /^compile: --check: expected with --all or --target/],
  ["compile/compile.ts", ["--all", "--target", "linux-x64"], /^compile: --all: expected without /],
  ["compile/compile.ts", ["--outfile", "x"], /^compile: --outfile: expected with --small or --fu/],
  ["compile/compile.ts", ["--only", "demo"], /^compile: --only demo: expected devd/],
  ["compile/compile.ts", ["--small", "--full"], /^compile: --small --full: expected one of them/],
  [
    "compile/compile.ts",
    ["--all", "--outfile", "x"],
    /^compile: --outfile: expected without --all/,
  ],
  ["compile/compile.ts", ["plugins", "vbd"], /^compile: plugins vbd: expected --outdir, or noth/],
  ["compile/compile.ts", ["plugins", "--with", "vbd"], /^compile: plugins --with: expected --outd/],
  ["compile/package.ts", ["--target", "linux-arm"], /: expected linux-x64, linux-arm64 /],
  ["test/bench/run.ts", ["scales"], /^bench: there is no scales; there are attach, /],
  ["test/boot/run.ts", ["--only", "upstart"], /^test:boot: --only upstart: there are systemd, /],
  ["test/xen/run.ts", ["--only", "none"], /^test:xen: --only none: there are /],
  ["test/xen/run.ts", ["--rounds", "0"], /^test:xen: --rounds 0: expected a number from 1 to 999/],
  ["test/soak/soak.ts", ["--flips", "many"], /^test:soak: --flips many: expected a number from 0/],
])("%s refuses %j", (program, args, reason) => {
  const { exitCode, stdout, stderr } = run(program, args);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
  expect(stderr).toMatch(reason);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
});
