/** `--check`: two builds give the same bytes, and what can be run here runs. */
import { spawn } from "node:child_process";
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { type Binary, fileName, SMALL } from "../binaries.ts";
import { sha256 } from "../papers.ts";
import { commit } from "../sources.ts";
import { type Target, thisMachine } from "../targets.ts";
import { run, unpacked } from "./foreign.ts";

/** One that was built. */
export interface Made {
  readonly binary: Binary;
  readonly target: Target;
}

/** What builds, besides the packages that are inside. */
const BUILD_PACKAGES = ["esbuild", "@esbuild"];

/** How to run a target's binary here. */
interface Way {
  /** What comes before the binary's arguments. */
  readonly argv: readonly string[];
  /** Whether the program can start itself again, as the demonstration does. */
  readonly startsItself: boolean;
  readonly words: string;
}

/** @throws Error that says what differs or does not run */
export async function check(
  all: readonly Made[],
  plugins: readonly string[],
  outdir: string,
): Promise<void> {
  sameBytes(all, plugins, outdir);
  const problems: string[] = [];
  const scratch = mkdtempSync(join(tmpdir(), "xdevd-try-"));
  try {
    for (const made of all) {
      const name = fileName(made.binary, made.target);
      try {
        console.log(`${name}: ${await tryOut(made, resolve(outdir, name), scratch)}`);
      } catch (error) {
        problems.push(`${name}: ${(error as Error).message}`);
      }
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  if (problems.length > 0) throw new Error(problems.join("\n"));
}

/**
 * Runs a binary: what it says of itself, the tools on a store, the test of a store, the demonstration.
 * @param file the binary
 * @param scratch a directory
 * @returns how it ran, or that and why it did not
 * @throws Error that says what is wrong with it
 */
export async function tryOut(made: Made, file: string, scratch: string): Promise<string> {
  let way: Way;
  try {
    way = wayToRun(made, file, scratch);
  } catch (error) {
    return `NOT RUN: ${(error as Error).message}`;
  }
  await runs(made, way, join(scratch, "store"));
  return `runs, ${way.words}`;
}

/** Builds anew, twice, from copies of the tree at other places. */
function sameBytes(all: readonly Made[], plugins: readonly string[], outdir: string): void {
  const scratch = mkdtempSync(join(tmpdir(), "xdevd-again-"));
  try {
    const copies = [join(scratch, "one"), join(scratch, "further", "down")];
    for (const copy of copies) {
      copyTree(copy);
      for (const { binary, target } of all) {
        const options = ["--target", target.name, "--with", plugins.join(",") || "none"];
        run([process.execPath, "compile/compile.ts", `--${binary.size}`, ...options], copy);
      }
    }
    // The names of what the runtime bundles follow from where it lies, seen from the tree.
    const linked = lstatSync("node_modules").isSymbolicLink();
    const places = copies.map((copy) => join(copy, "dist")).concat(linked ? [] : [outdir]);
    const differing = all
      .map(({ binary, target }) => fileName(binary, target))
      .flatMap((name) => [name, `${name}.cdx.json`])
      .filter((name) => new Set(places.map((place) => sha256(join(place, name)))).size > 1);
    if (differing.length > 0) {
      throw new Error(`built ${places.length} times, these differ: ${differing.join(", ")}`);
    }
    console.log(`${all.length} binaries built ${places.length} times, the same bytes`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The files that git knows or would take, and the packages that a build takes. */
function copyTree(to: string): void {
  const list = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
  const files = list.split("\0").filter((name) => name !== "" && name !== "node_modules");
  const packages = [...Object.keys(manifest.dependencies), "msgpackr-extract", ...BUILD_PACKAGES]
    .map((name) => join("node_modules", name));
  for (const name of [".git", ...files, ...packages]) {
    cpSync(name, join(to, name), { recursive: true });
  }
  // What was fetched, but nothing that was made.
  for (const name of ["build/runtimes", "build/small/fetched"]) {
    mkdirSync(join(to, name, ".."), { recursive: true });
    symlinkSync(resolve(name), join(to, name));
  }
}

/** @throws Error, when it cannot be run here */
function wayToRun({ binary, target }: Made, file: string, scratch: string): Way {
  if (target === thisMachine()) return { argv: [file], startsItself: true, words: "natively" };
  if (target.name !== "linux-arm64") throw new Error(`this machine is ${thisMachine().name}`);
  const qemu = join(unpacked("amd64", ["qemu-user-static"]), "usr/bin/qemu-aarch64-static");
  if (binary === SMALL) {
    const argv = [startsItself(file, qemu, scratch)];
    return { argv, startsItself: true, words: "in qemu-user" };
  }
  const libraries = unpacked("arm64", ["libc6", "libgcc-s1"]);
  return {
    argv: [qemu, "-L", libraries, file],
    startsItself: false,
    words: "in qemu-user with Debian's arm64 libraries; without the demonstration",
  };
}

/**
 * A program that is replaced while it runs goes on with the new one: Linux then says `(deleted)` behind
 * its name, and it starts what has the name without that. So a file that is really called so starts the
 * script beside it, which has the emulator run the file again; and nothing of the kernel is set up for it.
 * @returns the script
 */
function startsItself(file: string, qemu: string, scratch: string): string {
  const script = join(scratch, "xdevd");
  cpSync(file, `${script} (deleted)`);
  writeFileSync(script, `#!/bin/sh\nexec ${qemu} -0 "$0" "$0 (deleted)" "$@"\n`);
  chmodSync(script, 0o755);
  return script;
}

async function runs({ binary, target }: Made, way: Way, directory: string): Promise<void> {
  const info = JSON.parse(run([...way.argv, "--version", "--json"]));
  const runtime = binary === SMALL ? "quickjs" : "bun";
  const expected = { version: manifest.version, target: target.name, commit: commit(), runtime };
  const told = { ...info, runtime: info.runtime.name };
  for (const [name, value] of Object.entries(expected)) {
    if (told[name] !== value) throw new Error(`${name} is ${told[name]}, not ${value}`);
  }
  mkdirSync(directory);
  const server = spawn(process.execPath, ["main.ts", "xenstored", "--dir", directory], {
    stdio: "ignore",
  });
  try {
    const tool = (...words: string[]) =>
      run(["env", `XENSTORED_PATH=${directory}/socket`, ...way.argv, ...words]);
    await retry(() => tool("xenstore-write", "/check", target.name));
    const answer = tool("xenstore-read", "/check");
    if (answer !== `${target.name}\n`) throw new Error(`xenstore-read said ${answer}`);
    tool("store", "selftest");
  } finally {
    server.kill();
    rmSync(directory, { recursive: true, force: true });
  }
  if (!way.startsItself) return;
  const said = run([...way.argv, "demo"]);
  if (!said.includes("nothing is left")) throw new Error(`the demonstration said: ${said}`);
}

/** Until the server is up. */
async function retry(action: () => unknown): Promise<void> {
  for (let left = 50;; left--) {
    try {
      action();
      return;
    } catch (error) {
      if (left === 0) throw error;
      await Bun.sleep(100);
    }
  }
}
