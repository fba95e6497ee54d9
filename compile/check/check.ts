/** `--check`: two builds give the same bytes, and what can be run here runs. */
import { spawn } from "node:child_process";
import { cpSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { commit } from "../build.ts";
import { sha256 } from "../papers.ts";
import type { Target } from "../targets.ts";
import { run, unpacked } from "./foreign.ts";
import { muslRoot } from "./musl_root.ts";

/** How to run a target's binary here. */
interface Way {
  /** What comes before the binary's arguments. */
  readonly argv: readonly string[];
  /** Where a directory of the machine's is for it. */
  readonly mounts: (directory: string) => string;
  /** Whether the program can start itself again, as the demonstration does. */
  readonly startsItself: boolean;
  readonly words: string;
}

/** @throws Error that says what differs or does not run */
export async function check(
  targets: readonly Target[],
  plugins: readonly string[],
  outdir: string,
): Promise<void> {
  sameBytes(targets, plugins, outdir);
  const problems: string[] = [];
  for (const target of targets) {
    const binary = resolve(outdir, `xdevd-${target.name}`);
    let way: Way | string;
    try {
      way = wayToRun(target, binary);
    } catch (error) {
      way = (error as Error).message;
    }
    if (typeof way === "string") {
      console.log(`${target.name}: NOT RUN: ${way}`);
      continue;
    }
    try {
      await runs(target, way);
      console.log(`${target.name}: runs, ${way.words}`);
    } catch (error) {
      problems.push(`${target.name}: ${(error as Error).message}`);
    }
  }
  if (problems.length > 0) throw new Error(problems.join("\n"));
}

/** Builds anew, twice, from copies of the tree at other places. */
function sameBytes(targets: readonly Target[], plugins: readonly string[], outdir: string): void {
  const scratch = mkdtempSync(join(tmpdir(), "xdevd-again-"));
  const names = targets.map((target) => target.name).join(",");
  const options = ["--target", names, "--with", plugins.join(",") || "none"];
  try {
    const copies = [join(scratch, "one"), join(scratch, "further", "down")];
    for (const copy of copies) {
      copyTree(copy);
      run([process.execPath, "compile/compile.ts", ...options], copy);
    }
    // The names of what the runtime bundles follow from where it lies, seen from the tree.
    const linked = lstatSync("node_modules").isSymbolicLink();
    const places = copies.map((copy) => join(copy, "dist")).concat(linked ? [] : [outdir]);
    const differing = targets
      .flatMap(({ name }) => [`xdevd-${name}`, `xdevd-${name}.cdx.json`])
      .filter((name) => new Set(places.map((place) => sha256(join(place, name)))).size > 1);
    if (differing.length > 0) {
      throw new Error(`built ${places.length} times, these differ: ${differing.join(", ")}`);
    }
    console.log(`${targets.length} targets built ${places.length} times, the same bytes`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The files that git knows or would take, and the packages that can be inside of a binary. */
function copyTree(to: string): void {
  const list = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
  const files = list.split("\0").filter((name) => name !== "" && name !== "node_modules");
  const packages = [...Object.keys(manifest.dependencies), "msgpackr-extract"]
    .map((name) => join("node_modules", name));
  for (const name of [".git", ...files, ...packages]) {
    cpSync(name, join(to, name), { recursive: true });
  }
  mkdirSync(join(to, "build"));
  symlinkSync(resolve("build/runtimes"), join(to, "build/runtimes"));
}

/** @returns why it cannot be run, if it cannot */
function wayToRun(target: Target, binary: string): Way | string {
  const musl = target.name.includes("musl");
  if (process.arch !== "x64") return "this machine is no x64";
  if (target.name.includes("arm64")) {
    const qemu = unpacked("amd64", ["qemu-user-static"]);
    const libraries = musl ? muslRoot(binary, "arm64") : unpacked("arm64", ["libc6", "libgcc-s1"]);
    return {
      argv: [join(qemu, "usr/bin/qemu-aarch64-static"), "-L", libraries, binary],
      mounts: (directory) => directory,
      startsItself: false,
      words: `in qemu-user with Debian's arm64 ${musl ? "musl" : "libraries"}`,
    };
  }
  if (!musl) {
    return { argv: [binary], mounts: (d) => d, startsItself: true, words: "natively" };
  }
  if (process.getuid?.() !== 0) return "a root of its own takes root";
  const root = muslRoot(binary, "x64");
  const script = 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" "$@"';
  return {
    argv: ["unshare", "-m", "sh", "-c", script, root, "/usr/sbin/xdevd"],
    mounts: (directory) => join(root, directory),
    startsItself: true,
    words: "in a root with Debian's musl",
  };
}

/** Runs it: what it says of itself, the tools on a store, and the demonstration. */
async function runs(target: Target, way: Way): Promise<void> {
  const info = JSON.parse(run([...way.argv, "--version", "--json"]));
  const expected = { version: manifest.version, target: target.name, commit: commit() };
  for (const [name, value] of Object.entries(expected)) {
    if (info[name] !== value) throw new Error(`${name} is ${info[name]}, not ${value}`);
  }
  const inside = `/tmp/xdevd-check-${process.pid}`;
  const outside = way.mounts(inside);
  mkdirSync(outside, { recursive: true });
  const [program, ...args] = process.argv.slice(0, 1).concat("main.ts");
  const server = spawn(program!, [...args, "xenstored", "--dir", outside], { stdio: "ignore" });
  try {
    const tool = (...words: string[]) =>
      run(["env", `XENSTORED_PATH=${inside}/socket`, ...way.argv, ...words]);
    await retry(() => tool("xenstore-write", "/check", target.name));
    const answer = tool("xenstore-read", "/check");
    if (answer !== `${target.name}\n`) throw new Error(`xenstore-read said ${answer}`);
  } finally {
    server.kill();
    rmSync(outside, { recursive: true, force: true });
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
