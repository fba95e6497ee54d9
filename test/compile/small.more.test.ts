/** The small binary is built, twice, and does what it should. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { builtIns } from "../../built_in.ts";
import { buildSmall } from "../../compile/small/link.ts";
import { COMPRESSED_MAX, SIZE_MAX } from "../../compile/small/sizes.ts";
import { decoderSweep } from "./decoder_sweep.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { DaemonProcess } from "../support/daemon_process.ts";
import { startEmbeddedStore } from "../support/embedded_store.ts";
import { connectTo } from "../support/store_connection.ts";

const directory = mkdtempSync(join(tmpdir(), "xdevd-small-"));
const binary = join(directory, "xdevd-small");
const plugins = builtIns.map(({ manifest }) => manifest.name);

function run(file: string, ...args: string[]) {
  const { status, signal, stdout, stderr } = spawnSync(file, args, {
    encoding: "utf8",
    timeout: 120_000,
  });
  return { status, signal, stdout, stderr };
}

beforeAll(() => buildSmall({ outfile: binary, plugins }), 300_000);
afterAll(() => rmSync(directory, { recursive: true }));

test("is small, static, hardened, and says nothing of where it was built", () => {
  expect(statSync(binary).size).toBeLessThan(SIZE_MAX);
  const { stdout } = spawnSync("xz", ["-9e", "-c", binary], { maxBuffer: 2 * SIZE_MAX });
  expect(stdout.length).toBeGreaterThan(0);
  expect(stdout.length).toBeLessThan(COMPRESSED_MAX);
  const headers = run("readelf", "-lWd", binary).stdout;
  expect(headers).toMatch(/file type is DYN/);
  expect(headers).not.toContain("INTERP");
  expect(headers).not.toContain("NEEDED");
  expect(headers).toContain("GNU_RELRO");
  expect(headers).toMatch(/GNU_STACK .* RW /);
  expect(headers).not.toMatch(/LOAD .* RWE /);
  const bytes = readFileSync(binary);
  expect(bytes.includes(process.cwd())).toBe(false);
  expect(bytes.includes(directory)).toBe(false);
});

test("has the same bytes when it is built again", async () => {
  const again = join(directory, "again");
  await buildSmall({ outfile: again, plugins });
  expect(readFileSync(again).equals(readFileSync(binary))).toBe(true);
}, 120_000);

test("--version, and what it is", () => {
  expect(run(binary, "--version")).toMatchObject({ status: 0, stdout: `${manifest.version}\n` });
  const { stdout } = run(binary, "--version", "--json");
  expect(JSON.parse(stdout)).toMatchObject({
    target: "linux-x64",
    runtime: { name: "quickjs", version: "2025-04-26" },
  });
});

test("the demonstration", () => {
  expect(run(binary, "demo")).toMatchObject({ status: 0, stderr: "" });
}, 150_000);

test("what it lacks is refused in one line that names the full one", () => {
  const bundle = ["plugin", "bundle", "examples/ramdisk.ts", "-o", join(directory, "ramdisk.js")];
  for (const line of [bundle, ["lifecycle", "--format", "svg"]]) {
    const { status, stdout, stderr } = run(binary, ...line);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^xdevd: [^\n]*xdevd-full[^\n]*\n$/);
  }
});

test(
  "`plugin check` finds no fault with our own, and no leftover in its own storage helper",
  () => {
    const { stdout } = run(binary, "plugin", "check", "vbd");
    expect(stdout).toMatch(/^\d+ passed, 0 failed \(built-in\)$/m);
  },
  150_000,
);

test("its decoder, C and all, gives what the runtime's own does", async () => {
  const sweeper = join(directory, "sweep");
  await buildSmall({ outfile: sweeper, plugins: [], main: "test/compile/sweep_small.ts" });
  const { stdout, stderr } = run(sweeper);
  expect({ stdout, stderr }).toEqual({ stdout: decoderSweep(), stderr: "" });
}, 120_000);

test(
  "what nobody catches ends it with a line and a stack, which has the lines of the sources",
  async () => {
    const failing = join(directory, "failing");
    await buildSmall({ outfile: failing, plugins: [], main: "test/compile/failing_small.ts" });
    for (const kind of ["exception", "timer", "rejection"]) {
      const { status, stderr } = run(failing, kind);
      expect({ kind, status }).toEqual({ kind, status: 70 });
      expect(stderr).toMatch(
        /^xdevd: Error: planned\n {4}at fail \(test\/compile\/failing_small.ts:6:1\)\n/,
      );
    }
    expect(run(failing, "reason")).toMatchObject({ status: 70, stderr: "xdevd: a text\n" });
    expect(run(failing, "handled")).toMatchObject({ status: 0, stderr: "" });
  },
  120_000,
);

test("the host refuses whatever is no argument of its", async () => {
  const hostile = join(directory, "hostile");
  await buildSmall({ outfile: hostile, plugins: [], main: "test/compile/hostile_host.ts" });
  const { status, signal, stdout, stderr } = run(hostile);
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: "" });
  const lines = stdout.trimEnd().split("\n");
  expect(lines.pop()).toBe("alive");
  expect(lines.length).toBeGreaterThan(500);
  const wrong = lines.filter((line) =>
    line.startsWith("right ")
      ? !/: returned -?\d+$/.test(line)
      : !/: (Type|Range|Reference)Error$/.test(line)
  );
  expect(wrong).toEqual([]);
}, 120_000);

describe("a plugin that never returns", () => {
  test.each([
    ["a loop", "for (;;) {}"],
    ["a loop after a pause", "await null; for (;;) {}"],
    ["a regular expression", 'await null; /^(a+)+$/.test("a".repeat(60) + "b");'],
    ["a recursion", "const again = () => again() + 1; again();"],
  ])("%s fails, and others go on", async (_, body) => {
    const store = await startEmbeddedStore([1, 7]);
    const dom0 = await connectTo(store.socketPath(0));
    await makeDomain(dom0, 1);
    await makeDomain(dom0, 7);
    const file = join(directory, "endless.js");
    const about = { name: "endless", version: "1", api: 1, kinds: ["endless"] };
    writeFileSync(
      file,
      `// xdevd-plugin: ${JSON.stringify(about)}\nimport { definePlugin } from "xdevd/plugin";\n` +
        `export default definePlugin({ ...${JSON.stringify(about)}, async remove() {},\n` +
        `async add(device) {\n  if (device.id.devid === 1) { ${body} }\n` +
        `  await device.nodes.write({ "hotplug-status": "connected" });\n} });\n`,
    );
    const options = ["--store", store.socketPath(1), "--run-dir", join(directory, "run")];
    const daemon = await DaemonProcess.start([...options, "--plugin", file], { command: [binary] });
    try {
      const devices = [1, 2].map((devid) =>
        new HandMadeDevice(dom0, { backendDomid: 1, kind: "endless", frontendDomid: 7, devid })
      );
      for (const device of devices) {
        await device.create({});
        await device.write("state", "2");
      }
      await devices[1]!.reaches("hotplug-status", "connected", 30_000);
      await devices[0]!.reaches("hotplug-status", "error", 30_000);
      expect(daemon.running).toBe(true);
      expect(daemon.log).toMatch(/ran for 10 s without a pause, and was ended|stack overflow/);
    } finally {
      expect(await daemon.stop()).toBe(0);
      dom0.close();
      await store.stop();
    }
  }, 120_000);
});
