/** What is built gets its name when it is whole: what fails, or is killed, leaves an older one as it was. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireReal } from "../real/requirements.ts";
import { placeMade, placeText } from "../../platform/io/place_files.ts";

let directory: string;
const OLD = "an older one, whole\n";

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "xdevd-outputs-"));
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

/** Runs a program of the project's with files of at most so many KiB. */
function run(program: string[], { kib = 0, path = "" } = {}) {
  const limit = kib === 0 ? "" : `ulimit -f ${kib}; `;
  const { status, stderr, stdout } = spawnSync(
    "bash",
    ["-c", `${limit}exec "$@"`, "bash", process.execPath, ...program],
    { encoding: "utf8", env: { ...process.env, PATH: path + process.env["PATH"] } },
  );
  return { status, said: stdout + stderr };
}

/** An older output is there. */
function output(name: string): string {
  const file = join(directory, name);
  fs.writeFileSync(file, OLD);
  return file;
}

/** Whatever was written there is gone again. */
function expectOld(file: string) {
  expect(fs.readFileSync(file, "utf8")).toBe(OLD);
  expect(fs.readdirSync(join(file, ".."))).toEqual([file.slice(file.lastIndexOf("/") + 1)]);
}

describe("a full disk in the middle", () => {
  test("compile", () => {
    const file = output("xdevd");
    expect(run(["compile/compile.ts", "--full", "--outfile", file], { kib: 20_000 }).status).toBe(
      1,
    );
    expectOld(file);
  });

  test("compile plugins", () => {
    const file = output("generic.js");
    expect(run(["compile/compile.ts", "plugins", "--outdir", directory], { kib: 4 }).status).toBe(
      1,
    );
    expect(fs.readFileSync(file, "utf8")).toBe(OLD);
    expect(fs.readdirSync(directory)).not.toContain("vbd.js");
  });

  test("xdevd plugin bundle", () => {
    const file = output("ramdisk.js");
    const { status, said } = run(
      ["main.ts", "plugin", "bundle", "examples/ramdisk.ts", "-o", file],
      {
        kib: 1,
      },
    );
    expect(said).toContain("EFBIG");
    expect(status).toBe(1);
    expectOld(file);
  });

  const needs = { packages: ["busybox-static"] };
  if (requireReal("a minimal domain that does not fit", needs)) {
    test("minimal-domain", () => {
      const modules = join(directory, "modules");
      fs.mkdirSync(modules);
      fs.writeFileSync(join(modules, "modules.dep"), "");
      const builtIn = ["xen-blkback", "xen-netback", "loop", "bridge"];
      fs.writeFileSync(join(modules, "modules.builtin"), builtIn.join(".ko\n"));
      fs.mkdirSync(join(directory, "out"));
      const file = output("out/image");
      const options = ["--modules", modules, "--daemon", "/bin/bash", "--outfile", file];
      const { status, said } = run(["compile/minimal_domain.ts", ...options], { kib: 100 });
      expect(said).toMatch(/^minimal-domain: EFBIG.*\n$/);
      expect(status).toBe(1);
      expectOld(file);
    });
  }
});

test("a packer that dies in the middle leaves no half package", () => {
  const bin = join(directory, "bin");
  fs.mkdirSync(bin);
  fs.writeFileSync(
    join(bin, "dpkg-deb"),
    '#!/bin/sh\nfor last; do :; done\necho half > "$last"\nkill -KILL $$\n',
    { mode: 0o755 },
  );
  const dist = join(directory, "dist");
  fs.mkdirSync(dist);
  const file = output("dist/xdevd_0.1.0_amd64.deb");
  const options = ["--target", "linux-x64", "--outdir", dist];
  expect(run(["compile/package.ts", ...options], { path: `${bin}:` }).status).toBe(1);
  expectOld(file);
}, 120_000);

test("a compiler that is killed leaves the older program, whenever it is", async () => {
  const file = output("xdevd");
  for (const ms of [300, 600, 900, 1200]) {
    const child = spawn(process.execPath, ["compile/compile.ts", "--full", "--outfile", file], {
      stdio: "ignore",
    });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    await new Promise((resolve) => setTimeout(resolve, ms));
    child.kill("SIGKILL");
    await ended;
    const { size } = fs.statSync(file);
    if (size === OLD.length) continue;
    // It was whole already.
    expect(spawnSync(file, ["--version"], { encoding: "utf8" }).stdout).toMatch(/^\d/);
  }
}, 120_000);

test(
  "a compiler puts nothing into the current directory, where it would stay if it was killed",
  async () => {
    // What others have left that were killed goes; who is at work keeps his.
    const [left, fresh] = ["left", "fresh"].map((name) => `build/.${name}-test.bun-build`);
    for (const name of [left!, fresh!]) fs.writeFileSync(name, "");
    const old = Date.now() / 1000 - 2 * 3600;
    fs.utimesSync(left!, old, old);
    const seen: string[] = [];
    const watcher = fs.watch(".", (_, name) => void seen.push(String(name)));
    const child = spawn(
      process.execPath,
      ["compile/compile.ts", "--full", "--outfile", output("xdevd")],
      { stdio: "ignore" },
    );
    expect(await new Promise((resolve) => child.once("exit", resolve))).toBe(0);
    // What is seen is on its way in order: this comes last.
    fs.rmSync(".xdevd-outputs-seen", { force: true });
    fs.writeFileSync(".xdevd-outputs-seen", "");
    fs.rmSync(".xdevd-outputs-seen");
    while (!seen.includes(".xdevd-outputs-seen")) await Bun.sleep(5);
    watcher.close();
    expect(seen.filter((name) => name.endsWith(".bun-build"))).toEqual([]);
    expect([left, fresh].map((name) => fs.existsSync(name!))).toEqual([false, true]);
    fs.rmSync(fresh!);
  },
  120_000,
);

describe("placing", () => {
  test("what is made is nowhere to be seen before it is whole", async () => {
    const file = output("made");
    await placeMade(file, async (temporary) => {
      fs.writeFileSync(temporary, "new");
      expect(fs.readFileSync(file, "utf8")).toBe(OLD);
      await Promise.resolve();
    });
    expect(fs.readFileSync(file, "utf8")).toBe("new");
  });

  test("making fails: the older one stays, and nothing else", async () => {
    const file = output("made");
    const failing = placeMade(file, (temporary) => {
      fs.writeFileSync(temporary, "half");
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expectOld(file);
  });

  test("what a killed one has left is not in the way", async () => {
    const file = output("made");
    fs.writeFileSync(`${file}.xdevd-new`, "half");
    placeText(file, "new", 0o644);
    expect(fs.readFileSync(file, "utf8")).toBe("new");
    expect(fs.readdirSync(directory)).toEqual(["made"]);
  });
});
