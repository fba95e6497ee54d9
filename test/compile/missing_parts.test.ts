/** What the small binary is made with is not there: one line says what, and the full one is made. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetched } from "../../compile/small/debian.ts";
import { MissingPart } from "../../compile/small/missing.ts";
import { MUSL } from "../../compile/small/pinned.ts";

let directory: string;
let programs: string;
let path: string | undefined;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "xdevd-missing-"));
  programs = join(directory, "programs");
  fs.mkdirSync(programs);
  path = process.env["PATH"];
});
afterEach(() => {
  process.env["PATH"] = path;
  fs.rmSync(directory, { recursive: true });
});

/** Compiles where there is no program but git. */
function compile(...args: string[]) {
  const git = Bun.which("git");
  if (git !== null && !fs.existsSync(join(programs, "git"))) {
    fs.symlinkSync(git, join(programs, "git"));
  }
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["compile/compile.ts", ...args, "--outdir", directory],
    { encoding: "utf8", env: { PATH: programs, HOME: programs } },
  );
  return { status, stdout, stderr };
}

const WHY = "it needs gcc, which is not there (Debian: gcc; npm run setup -- --system)";

test("both are wanted: the full one is made", () => {
  const { status, stdout, stderr } = compile("--with", "none");
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: `compile: ${directory}/xdevd is not made: ${WHY}\n`,
  });
  expect(stdout).toMatch(/^\S+\/xdevd-full: [\d.]+ MB, with no backend\n$/);
  expect(fs.readdirSync(directory).sort()).toEqual(["programs", "xdevd-full"]);
}, 120_000);

test("the small one is wanted: that fails", () => {
  expect(compile("--small")).toEqual({
    status: 1,
    stdout: "",
    stderr: `compile: ${directory}/xdevd: ${WHY}\n`,
  });
  const cross = compile("--small", "--target", "linux-arm64,linux-x64");
  expect(cross.stderr).toMatch(
    /^compile: \S+\/xdevd-linux-(arm64|x64): it needs [^\n]*gcc[^\n]*\n$/,
  );
  expect(cross.status).toBe(1);
  expect(fs.readdirSync(directory)).toEqual(["programs"]);
});

describe("apt", () => {
  const pinned = { ...MUSL.arm64, file: "not-fetched-yet.deb" };

  /** What apt's programs say, as shell text. */
  function apt(get: string, cache = "") {
    const write = (name: string, text: string) =>
      fs.writeFileSync(join(programs, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    write("apt-get", get);
    write("apt-cache", cache);
    process.env["PATH"] = `${programs}:${path}`;
  }

  const mirror = 'case "$*" in *indextargets*) echo "Debian main http://mirror/debian" ;; esac';
  const row = (version: string, architecture: string) =>
    `echo "musl-dev | ${version} | http://mirror trixie/main ${architecture} Packages"`;
  const failing = () => {
    try {
      return String(fetched([pinned]));
    } catch (error) {
      return error as Error;
    }
  };

  test("the mirror has another version: one line names both", () => {
    apt(mirror, `${row("1.2.6-1", "arm64")}\n${row(pinned.version, "amd64")}`);
    expect(failing()).toEqual(
      new MissingPart(
        `the mirror's trixie has musl-dev:arm64 1.2.6-1, ` +
          `compile/small/pinned.ts has ${pinned.version}`,
      ),
    );
  });

  test("it cannot reach a mirror", () => {
    apt(`${mirror}\ncase "$*" in *update*) echo "E: no route to mirror" >&2; exit 100 ;; esac`);
    expect(failing()).toEqual(
      new MissingPart("apt cannot fetch what it is made of: E: no route to mirror"),
    );
  });

  test("it knows no mirror", () => {
    apt("exit 0");
    expect((failing() as Error).message).toMatch(/^apt has no list of a Debian mirror.*apt-get up/);
  });

  test("it brings something else under the name: that is no part that is missing", () => {
    const bring = `case "$*" in *download*) echo other > ${pinned.file} ;; esac`;
    apt(`${mirror}\n${bring}`, row(pinned.version, "arm64"));
    const error = failing() as Error;
    expect(error.message).toMatch(
      /^not-fetched-yet.deb has sha256 [0-9a-f]{64}, compile\/small\/pinned.ts has [0-9a-f]{64}$/,
    );
    expect(error).not.toBeInstanceOf(MissingPart);
  });
});
