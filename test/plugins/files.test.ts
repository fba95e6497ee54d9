/** Plugin files: how they are found, which are trusted, and how modules are loaded. */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { sha256OfFile } from "../../platform/checksum.ts";
import { provideModule, systemModules } from "../../platform/modules.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { sys } from "../../platform/kernel.ts";
import { readSettings } from "../../commands/plugin/set.ts";
import * as contract from "../../contract/v1/plugin.ts";
import { pluginAt, pluginsIn } from "../../plugins/discover.ts";
import { moduleHost } from "../../plugins/host/module_host.ts";
import { manifestLine } from "../../core/daemon/plugin/manifest.ts";
import { NO_SETTINGS, parseSettings } from "../../plugins/settings.ts";
import { testManifest, writeProcessPlugin } from "../support/plugin_files.ts";

const trust = {
  files: systemFiles,
  trustedUids: [0, process.getuid!()],
  sha256Of: sha256OfFile,
  modules: systemModules,
};
const isRoot = process.getuid!() === 0;
/** asm-generic/errno-base.h */
const EIO = 5;
const ADD_REMOVE = "async add() {}, async remove() {}";
const WORKS =
  `export default { name: "test", version: "1", api: 1, kinds: ["test"], ${ADD_REMOVE} };`;
let directory: string;

provideModule("xdevd/plugin", { ...contract });

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "xdevd-files-"));
});

afterEach(() => rmSync(directory, { recursive: true }));

/** Writes a module; its manifest is in front unless it is null. */
function write(name: string, body = WORKS, manifest: object | null = testManifest()): string {
  const file = join(directory, name);
  mkdirSync(dirname(file), { recursive: true });
  const line = manifest === null ? "" : manifestLine(manifest as contract.PluginManifest);
  writeFileSync(file, `${line}\n${body}\n`, { mode: 0o644 });
  return file;
}

const at = (file: string, settings = NO_SETTINGS) => pluginAt(file, settings, trust);

test("a manifest that cannot be looked for is not one that does not exist", async () => {
  const file = write("a.js", WORKS, null);
  const stat = (path: string) =>
    path.endsWith(".json")
      ? Promise.reject(Object.assign(new Error("EMFILE: stat"), { code: "EMFILE" }))
      : systemFiles.stat(path);
  const blind = { ...trust, files: { ...systemFiles, stat } };
  await expect(pluginAt(file, NO_SETTINGS, blind)).rejects.toThrow("EMFILE: stat");
  await expect(at(file)).rejects.toThrow("it has no manifest");
});

test("a configuration that cannot be looked for is not one that does not exist", async () => {
  const spy = spyOn(sys, "stat").mockImplementation(() => -EIO);
  try {
    await expect(readSettings({} as never)).rejects.toThrow(/^configuration file \/etc\/.*EIO/);
  } finally {
    spy.mockRestore();
  }
});

describe("a directory of plugins", () => {
  test("modules, programs, and manifests beside them; all else is left alone", async () => {
    write("b.ts");
    write("a.js");
    writeProcessPlugin(join(directory, "program"), "");
    writeFileSync(join(directory, "binary"), "\x7fELF", { mode: 0o755 });
    writeFileSync(
      join(directory, "binary.json"),
      JSON.stringify(testManifest({ name: "binary" })),
    );
    for (const name of ["README.md", ".hidden.ts", "b.ts~", "b.d.ts", "b.js.map", "x.dpkg-new"]) {
      writeFileSync(join(directory, name), "");
    }
    mkdirSync(join(directory, "sub.ts"));
    const { found, rejected } = await pluginsIn(directory, NO_SETTINGS, trust);
    expect(rejected).toEqual([]);
    expect(found.map(({ origin, carrier }) => [origin.slice(directory.length + 1), carrier]))
      .toEqual([["a.js", "module"], ["b.ts", "module"], ["binary", "process"], [
        "program",
        "process",
      ]]);
  });

  test("what cannot be used is told with its reason, and does not hide the others", async () => {
    write("good.ts");
    write("nothing.ts", WORKS, null);
    write("garbage.ts", "// xdevd-plugin: {oops", null);
    write("future.ts", WORKS, testManifest({ api: 9 }));
    chmodSync(writeProgram("program"), 0o644);
    chmodSync(write("open.ts"), 0o666);
    const { found, rejected } = await pluginsIn(directory, NO_SETTINGS, trust);
    expect(found.map(({ origin }) => origin)).toEqual([join(directory, "good.ts")]);
    const reasons = Object.fromEntries(
      rejected.map(({ path, reason }) => [path.slice(directory.length + 1), reason]),
    );
    expect(reasons["nothing.ts"]).toMatch(/it has no manifest: no line "xdevd-plugin: /);
    expect(reasons["garbage.ts"]).toMatch(/its manifest is not JSON/);
    expect(reasons["future.ts"]).toMatch(/written for contract 9; this xdevd serves contract 1/);
    expect(reasons["program"]).toMatch(/is a program and not executable \(mode 0644\)/);
    expect(reasons["open.ts"]).toMatch(/is writable by others \(mode 0666; chmod go-w/);
    for (const [name, reason] of Object.entries(reasons)) {
      expect(reason).toStartWith(`plugin ${join(directory, name)}`);
    }
  });

  function writeProgram(name: string): string {
    const file = join(directory, name);
    writeProcessPlugin(file, "");
    return file;
  }
});

describe("trust", () => {
  test("a directory on the way that others can write", async () => {
    const file = write("open/a.ts");
    chmodSync(join(directory, "open"), 0o777);
    await expect(at(file)).rejects.toThrow(/directory .*open is writable by others/);
    chmodSync(join(directory, "open"), 0o1777);
    await expect(at(file)).rejects.toThrow(/directory .*open is writable by others/);
  });

  test("a link to what others can write", async () => {
    const file = write("far/a.ts");
    chmodSync(join(directory, "far"), 0o777);
    symlinkSync(file, join(directory, "link.ts"));
    await expect(at(join(directory, "link.ts"))).rejects.toThrow(/far is writable by others/);
  });

  test.skipIf(!isRoot)("a file that is somebody else's", async () => {
    const file = write("a.ts");
    chownSync(file, 1234, 0);
    await expect(at(file)).rejects.toThrow(/belongs to uid 1234; expected root/);
  });

  test("a file that is not there, or no file", async () => {
    await expect(at(join(directory, "none.ts"))).rejects.toThrow(/none.ts does not exist/);
    mkdirSync(join(directory, "sub"));
    await expect(at(join(directory, "sub"))).rejects.toThrow(/is a directory, not a regular file/);
  });

  test("a SHA-256 that is demanded", async () => {
    const file = write("a.ts");
    const sha256 = await sha256OfFile(file);
    const pinned = parseSettings(`[plugins.test]\nsha256 = "${sha256.toUpperCase()}"`);
    expect((await at(file, pinned)).sha256).toBe(sha256);
    writeFileSync(file, `${manifestLine(testManifest())}\n${WORKS}\n// changed\n`);
    await expect(at(file, pinned)).rejects.toThrow(
      /has SHA-256 [0-9a-f]{64}; the configuration demands/,
    );
  });
});

describe("a module", () => {
  const load = (file: string, sha256?: string) =>
    moduleHost(file, testManifest(), trust, sha256 === undefined ? {} : { sha256 }).operations();

  test("TypeScript that is not bundled, with a file beside it", async () => {
    write("helper.ts", "export const answer: number = 1;", null);
    const file = write(
      "a.ts",
      `import { definePlugin } from "xdevd/plugin";
      import { answer } from "./helper.ts";
      import * as fs from "node:fs";
      if (answer !== 1 || !fs.existsSync("/")) throw new Error("no");
      export default definePlugin({ name: "test", version: "1", api: 1, kinds: ["test"],
        ${ADD_REMOVE} });`,
    );
    expect(await load(file)).toHaveProperty("add");
    chmodSync(join(directory, "helper.ts"), 0o666);
    await expect(load(file)).rejects.toThrow(/helper.ts is writable by others/);
  });

  test.each([
    ["no default export", "export const x = 1;", /has no default export made by definePlugin/],
    ["no remove", WORKS.replace("async remove() {}", ""), /has no function remove/],
    ["check is no function", WORKS.replace("async remove", "check: 1, async remove"), /has check,/],
    ["another version", WORKS.replace('"1"', '"2"'), /its manifest says version "1", its code "2"/],
    [
      "another kind",
      WORKS.replace('["test"]', '["x"]'),
      /manifest says kinds \["test"\], its code/,
    ],
    ["throws", 'throw new Error("oh\\nno");', /a.ts cannot be loaded: oh \(a.ts:2\)$/],
    ["a wrong syntax", "export default {", /a.ts cannot be parsed: /],
    ["a package", 'import "left-pad";', /imports "left-pad", which a driver domain does not have/],
    ["a missing file", 'import "./none.ts";', /none.ts does not exist/],
  ])("%s", async (_, body, reason) => {
    const file = write("a.ts", body);
    await expect(load(file)).rejects.toThrow(reason);
  });

  test("that the small binary cannot carry: it has no modules of a runtime", async () => {
    const file = write("a.js", `import "node:fs";\n${WORKS}`);
    const modules = { ...systemModules, isBuiltIn: () => false };
    await expect(moduleHost(file, testManifest(), { ...trust, modules }).operations()).rejects
      .toThrow(/imports "node:fs", which the small binary does not have.*xdevd-full has/);
  });

  test("of which a SHA-256 is demanded must be one file", async () => {
    write("helper.ts", "export const answer = 1;", null);
    const file = write("a.ts", `import "./helper.ts";\n${WORKS}`);
    await expect(load(file, await sha256OfFile(file))).rejects.toThrow(
      /imports "\.\/helper.ts", which its SHA-256 does not cover; bundle it/,
    );
  });

  test("that has changed since it was found is looked at again", async () => {
    const file = write("a.ts");
    const host = moduleHost(file, testManifest(), trust, { sha256: await sha256OfFile(file) });
    writeFileSync(file, `${manifestLine(testManifest())}\n${WORKS}// another\n`);
    await expect(host.operations()).rejects.toThrow(/the configuration demands/);
  });

  test("that could not be loaded is tried again", async () => {
    const file = write("a.ts");
    const host = moduleHost(file, testManifest(), trust);
    chmodSync(file, 0o666);
    await expect(host.operations()).rejects.toThrow(/writable by others/);
    chmodSync(file, 0o644);
    expect(await host.operations()).toHaveProperty("remove");
  });

  test("runs when it is needed, not before", async () => {
    const file = write("a.ts", `globalThis.xdevdTestLoaded = true;\n${WORKS}`);
    const loaded = () => "xdevdTestLoaded" in globalThis;
    const host = moduleHost((await at(file)).origin, testManifest(), trust);
    expect(loaded()).toBeFalse();
    await host.operations();
    expect(loaded()).toBeTrue();
  });
});
