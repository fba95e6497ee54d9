/** The daemon and `xdevd plugin` as an administrator meets them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { manifestLine } from "../../core/daemon/plugin/manifest.ts";
import { DaemonProcess, runProgram } from "../support/daemon_process.ts";
import { fullCommand } from "../support/full_only.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { testManifest } from "../support/plugin_files.ts";
import { connectTo } from "../support/store_connection.ts";

let directory: string;
let store: EmbeddedStore;
let options: string[];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "xdevd-plugins-"));
  store = await startEmbeddedStore([1, 7]);
  const dom0 = await connectTo(store.socketPath(0));
  await makeDomain(dom0, 1);
  await makeDomain(dom0, 7);
  dom0.close();
  options = ["--store", store.socketPath(1), "--run-dir", join(directory, "run")];
});

afterAll(async () => {
  await store.stop();
  rmSync(directory, { recursive: true });
});

/** Writes a plugin; it does what `body` says in its add. */
function plugin(file: string, name: string, kind: string, body = ""): string {
  const path = join(directory, file);
  mkdirSync(join(path, ".."), { recursive: true });
  const manifest = testManifest({ name, kinds: [kind] });
  writeFileSync(
    path,
    `${manifestLine(manifest)}\nglobalThis.console.error("${name} runs");\n` +
      `export default { ...${JSON.stringify(manifest)}, async remove() {},\n` +
      `async add(device) { ${body} await device.nodes.write({ "hotplug-status": "connected" }); } };`,
    { mode: 0o644 },
  );
  return path;
}

describe("the daemon", () => {
  test("finds plugins in its directories, reports what it cannot use, and loads none too early", async () => {
    plugin("dir/good.js", "good", "good");
    chmodSync(plugin("dir/open.js", "open", "open"), 0o666);
    const daemon = await DaemonProcess.start([...options, "--plugins", join(directory, "dir")]);
    try {
      await daemon.says(/kinds vbd, .*vif, .*good,/);
      expect(daemon.log).toMatch(/error +plugin \S+open.js is writable by others/);
      expect(daemon.log).not.toContain("good runs");
      const dom0 = await connectTo(store.socketPath(0));
      const id = { backendDomid: 1, kind: "good", frontendDomid: 7, devid: 0 };
      const device = new HandMadeDevice(dom0, id);
      await device.create({});
      await device.write("state", "2");
      await device.reaches("hotplug-status", "connected");
      await daemon.says(/good runs/);
      await device.detach();
      await device.gone();
      dom0.close();
    } finally {
      expect(await daemon.stop()).toBe(0);
    }
  });

  test.each([
    ["a plugin that is not there", ["--plugin", "/none.ts"], 5, /plugin \/none.ts does not exist/],
    ["a directory that is not there", ["--plugins", "/none"], 1, /plugin directory \/none: ENOENT/],
    [
      "a file that is not there",
      ["--config", "/none.toml"],
      1,
      /configuration file \/none.toml does not exist/,
    ],
    ["a choice that makes no sense", ["--kind", "VBD=x"], 2, /Expected KIND=PLUGIN/],
    ["a choice that there is not", ["--kind", "vbd=x"], 5, /\[kinds\] vbd = "x", but only vbd \(b/],
  ])("does not start with %s", async (_, more, code, reason) => {
    const result = await runProgram(["devd", "-F", ...options, ...more]);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(reason);
    // One line, and after a wrong option where to find help.
    expect(result.stderr.split("\n").length).toBeLessThanOrEqual(3);
  });

  test("does not start with two plugins for one kind, and says what would settle it", async () => {
    const file = plugin("mine.js", "mine", "vif");
    const { code, stderr } = await runProgram(["devd", "-F", ...options, "--plugin", file]);
    expect(code).toBe(5);
    expect(stderr).toBe(
      `xdevd: kind vif can be served by vif (built-in) and mine (${file}); --kind vif=mine (or ` +
        '[kinds] vif = "mine" in the configuration) says by which [plugin-conflict]\n',
    );
  });

  test("proposes the plugin that was named, also if it lies in a directory of plugins", async () => {
    const file = plugin("both/mine.js", "mine", "vif");
    plugin("both/other.js", "other", "vif");
    const args = ["devd", "-F", ...options, "--plugins", join(directory, "both")];
    const unnamed = await runProgram(args);
    expect(unnamed.stderr).toContain("--kind vif=mine or --kind vif=other (or the same below");
    for (const more of [["--plugin", file], ["--plugin", file, "--plugin", file]]) {
      const { code, stderr } = await runProgram([...args, ...more]);
      expect([code, stderr]).toEqual([5, expect.stringContaining("; --kind vif=mine (or [kinds]")]);
    }
  });

  test("obeys its configuration file, if that is root's alone", async () => {
    const file = plugin("mine.js", "mine", "vif");
    const config = join(directory, "config.toml");
    const others = ["vbd", "qemu", "vtpm", "generic"].map((name) =>
      `[plugins.${name}]\nenabled = false\n`
    )
      .join("");
    writeFileSync(config, `[kinds]\nvif = "mine"\n${others}`, { mode: 0o644 });
    const more = ["--plugin", file, "--config", config];
    const daemon = await DaemonProcess.start([...options, ...more]);
    expect(daemon.log).toContain("kinds vif, scripts");
    await daemon.stop();
    chmodSync(config, 0o666);
    expect(await runProgram(["devd", "-F", ...options, ...more])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/config.toml is writable by others/),
    });
    chmodSync(config, 0o644);
    writeFileSync(config, "[kinds\n");
    expect((await runProgram(["devd", "-F", ...options, ...more])).stderr)
      .toMatch(/^xdevd: configuration file \S+config.toml: line 1, column 7: /);
  });

  test("says once which kind it cannot serve, and what would change that", async () => {
    const daemon = await DaemonProcess.start(options);
    const dom0 = await connectTo(store.socketPath(0));
    const id = { backendDomid: 1, kind: "scsi", frontendDomid: 7, devid: 0 };
    const device = new HandMadeDevice(dom0, id);
    await device.create({});
    await daemon.says(/no plugin serves kind scsi .*--plugin FILE/);
    await device.write("state", "2");
    await device.nuke();
    dom0.close();
    await daemon.stop();
    expect(daemon.lines("no plugin serves kind")).toHaveLength(1);
  });
});

describe("xdevd plugin", () => {
  test("list, for people and for programs", async () => {
    const file = plugin("one/a.js", "a-plugin", "vif");
    chmodSync(plugin("one/b.js", "b-plugin", "x"), 0o622);
    const args = ["plugin", "list", "--plugins", join(directory, "one")];
    const { code, stdout, stderr } = await runProgram(args);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^a-plugin +1 +module +vif +- +\S+a.js$/m);
    expect(stderr).toMatch(/b.js is writable by others/);
    expect(stderr).toMatch(/kind vif can be served by vif \(built-in\) and a-plugin/);
    const json = JSON.parse((await runProgram([...args, "--json"])).stdout);
    expect(json.plugins.at(-1)).toMatchObject({ name: "a-plugin", origin: file, serves: [] });
    expect(json.rejected).toHaveLength(1);
    expect(json.conflicts).toHaveLength(1);
    expect(await runProgram(["plugin", "list"])).toMatchObject({ code: 0, stderr: "" });
  });

  test("info, without running it", async () => {
    const file = plugin("info.js", "info", "x");
    const { code, stdout, stderr } = await runProgram(["plugin", "info", file]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^sha256: +[0-9a-f]{64}$/m);
    expect((await runProgram(["plugin", "info", "frob"])).stderr).toBe(
      "xdevd: there is no plugin frob; there are vbd, vif, qemu, vtpm, generic (a file is named by its path: ./FILE)\n",
    );
  });

  test.each([
    ["a name that is none", ["Big"], /^xdevd: name "Big"; expected 1 to 32 lower case/, 2],
    ["a name too long for a kind", ["a-name-that-is-long"], /kind "a-name-.*--kind KIND/, 2],
    ["a carrier that there is not", ["x", "--carrier", "pigeon"], /choices are module, process/, 2],
    ["a directory that there is not", ["x", "--dir", "/none"], /cannot write \/none\/x.[jt]s/, 1],
  ])("new: %s", async (_, args, reason, code) => {
    const result = await runProgram(["plugin", "new", ...args]);
    expect(result).toMatchObject({ code, stderr: expect.stringMatching(reason) });
  });

  test("new keeps a name that stands for the kind in its templates", async () => {
    const args = ["my-kind", "--kind", "other", "--dir", directory];
    expect(await runProgram(["plugin", "new", ...args])).toMatchObject({ code: 0, stderr: "" });
    const [file = ""] = readdirSync(directory).filter((name) => name.startsWith("my-kind."));
    expect(readFileSync(join(directory, file), "utf8").split("\n")[0]).toMatch(
      /"name":"my-kind",.*"kinds":\["other"\]/,
    );
  });

  test("new does not overwrite; bundle makes one file", async () => {
    const make = () => runProgram(["plugin", "new", "fresh", "--dir", directory]);
    const { code: made, stdout } = await make();
    expect(made).toBe(0);
    expect(await make()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/exists already/),
    });
    const output = join(directory, "bundled.js");
    const bundle = (from: string, to = output) => {
      const full = fullCommand("plugin bundle");
      return runProgram(["plugin", "bundle", from, "-o", to], {}, undefined, full);
    };
    const file = /^(\S+): a plugin for kind fresh$/m.exec(stdout)![1]!;
    expect(await bundle(file)).toMatchObject({ code: 0, stderr: "" });
    const text = readFileSync(output, "utf8");
    expect(text).toStartWith('// xdevd-plugin: {"name":"fresh"');
    expect(text).toContain('"sample":{"backend":{"size":"4"}}');
    expect(text).not.toContain(directory);
    expect(text).not.toContain("xdevd/plugin");
    for (const each of [file, output]) {
      const { code } = await runProgram(["plugin", "check", each, "--only", "lifecycle"]);
      expect(code).toBe(0);
    }
    expect((await bundle("/none.ts")).stderr)
      .toMatch(/^xdevd: cannot bundle \/none.ts: ENOENT: [^\n]*\n$/);
    const nowhere = join(directory, "none", "x.js");
    expect(await bundle(file, nowhere)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`xdevd: cannot write ${nowhere}: ENOENT`),
    });
  });

  test("check: a rule that there is not", async () => {
    const { code, stderr } = await runProgram(["plugin", "check", "vbd", "--only", "frob"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^xdevd: there is no rule frob; there are loads, lifecycle, /);
  });
});
