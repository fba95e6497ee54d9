/** The single binary: compiled from this tree, it does the main job. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import manifest from "../../package.json" with { type: "json" };

let directory: string;
let binary: string;

/** Runs a command to its end. */
async function run(argv: string[], cwd: string) {
  const child = Bun.spawn(argv, { cwd, env: {}, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, stdout, stderr };
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "xdevd-compiled-"));
  binary = join(directory, "xdevd");
  const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
  const made = await run(
    [process.execPath, "compile/compile.ts", "--outfile", binary],
    root,
  );
  expect(made).toMatchObject({ code: 0, stderr: "" });
});

afterAll(() => rm(directory, { recursive: true }));

test("one file, which runs anywhere, with an empty environment", async () => {
  expect((await stat(binary)).mode & 0o111).toBe(0o111);
  const { code, stdout } = await run([binary, "--version"], "/");
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${manifest.version}\n` });
});

test("it tells what it was made of", async () => {
  const { code, stdout } = await run([binary, "--version", "--json"], "/");
  const { version, commit, compiled, plugins } = JSON.parse(stdout);
  expect({ code, version, compiled }).toEqual({
    code: 0,
    version: manifest.version,
    compiled: true,
  });
  expect(commit).toMatch(/^[0-9a-f]{40}(-modified)?$/);
  expect(plugins.map(({ name }: { name: string }) => name)).toEqual([
    "vbd",
    "vif",
    "qemu",
    "generic",
  ]);
});

test("the demonstration passes with it", async () => {
  const { code, stdout, stderr } = await run([binary, "demo"], "/");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/demo +nothing is left/);
});
