/** What `npm run check` says of imports that lead where they must not. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dir, "../..");
const task: string = JSON.parse(fs.readFileSync(join(root, "deno.json"), "utf8")).tasks.check;
let copy: string;

beforeAll(() => {
  copy = fs.mkdtempSync(join(tmpdir(), "xdevd-boundaries-"));
  for (const name of fs.readdirSync(root)) {
    if (/^(node_modules|build|dist|docs|\..*)$/.test(name)) continue;
    fs.cpSync(join(root, name), join(copy, name), {
      recursive: true,
      filter: (path) => {
        if (fs.statSync(path).isDirectory()) return !/\/test\/(xen|boot)\/(cache|runs)$/.test(path);
        return /\.(ts|mjs|json)$/.test(path);
      },
    });
  }
  fs.symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
});

afterAll(() => fs.rmSync(copy, { recursive: true }));

/** Runs one of the check's steps in the copy. */
function run(argv: readonly string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...argv], {
    cwd: copy,
    env: {
      PATH: process.env["PATH"]!,
      HOME: process.env["HOME"] ?? "/",
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
    },
  });
  return { exitCode, text: `${stdout}${stderr}` };
}

const checkImports = () => run([process.execPath, "tools/check_imports.ts"]);

/** Puts texts at the beginning of files, for as long as something is done. */
function withPlanted<T>(texts: Readonly<Record<string, string>>, work: () => T): T {
  const before = Object.keys(texts).map((file) => {
    const path = join(copy, file);
    return { path, text: fs.existsSync(path) ? fs.readFileSync(path, "utf8") : null };
  });
  for (const [index, text] of Object.values(texts).entries()) {
    const { path, text: old } = before[index]!;
    fs.mkdirSync(join(path, ".."), { recursive: true });
    fs.writeFileSync(path, `${text}\n${old ?? ""}`);
  }
  try {
    return work();
  } finally {
    for (const { path, text } of before) {
      if (text === null) fs.rmSync(path);
      else fs.writeFileSync(path, text);
    }
  }
}

test("the check has a step for imports, and nothing to say", () => {
  expect(task.split(" && ")).toContain("bun tools/check_imports.ts");
  expect(task.split(" && ")).toContain("deno lint");
  expect(checkImports()).toEqual({ exitCode: 0, text: "" });
});

describe("refused", () => {
  test.each([
    [
      "an arrow up",
      { "core/xenstore/planted.ts": 'import "../daemon/daemon.ts";' },
      "core/xenstore/planted.ts:1: may not import core/daemon/daemon.ts: what is of core may import ",
    ],
    [
      "an arrow up from folder to folder of the core, for a type",
      { "core/xen/planted.ts": 'export type { Effect } from "../lifecycle/state.ts";' },
      "core/xen/planted.ts:1: may not import core/lifecycle/state.ts: what is of core may import " +
      "the folders of its own before it, contract, types of platform",
    ],
    [
      "an import at run time",
      { "core/log/planted.ts": 'export const later = () => import("../../commands/program.ts");' },
      "core/log/planted.ts:1: may not import commands/program.ts",
    ],
    [
      "a type taken from within an expression",
      { "backends/planted.ts": 'export type Id = import("../core/xen/device_id.ts").DeviceId;' },
      "backends/planted.ts:1: may not import core/xen/device_id.ts: what is of backends may import",
    ],
    [
      "something handed on",
      { "backends/vbd/planted.ts": '\nexport * from "../../core/xen/device_id.ts";' },
      "backends/vbd/planted.ts:2: may not import core/xen/device_id.ts",
    ],
    [
      "more than types of the platform",
      { "core/xen/planted.ts": 'export { systemFiles } from "../../platform/io/files.ts";' },
      "core/xen/planted.ts:1: may not import platform/io/files.ts",
    ],
    [
      "a circle, of a type and an import at run time",
      {
        "core/xen/first.ts": 'import type { Second } from "./second.ts";\nexport type A = Second;',
        "core/xen/second.ts": 'export type Second = 1;\nexport const a = import("./third.ts");',
        "core/xen/third.ts": 'export * from "./first.ts";',
      },
      "a circle of imports: core/xen/first.ts → core/xen/second.ts → core/xen/third.ts → " +
      "core/xen/first.ts\n",
    ],
    [
      "a file of no floor, in a folder that is not checked",
      { "extras/planted.ts": "export const extra = 1;" },
      "extras/planted.ts: belongs to no floor of tools/boundaries.ts\n" +
      "deno.json: the task check does not name the folder extras\n",
    ],
  ])("%s", (_, planted, message) => {
    const { exitCode, text } = withPlanted(planted, checkImports);
    expect(text).toStartWith(message);
    expect(text.trimEnd().split("\n")).toHaveLength(message.trimEnd().split("\n").length);
    expect(exitCode).toBe(1);
  });

  test.each([
    ["EXCEPTIONS", "core/xen/device_id.ts", "core/xen/states.ts"],
    ["CIRCLES", "core/xen/device_id.ts", "core/xen/none.ts"],
  ])("one of the %s that is not needed", (name, from, to) => {
    const path = join(copy, "tools/boundaries.ts");
    const text = fs.readFileSync(path, "utf8");
    const start = new RegExp(`(export const ${name}: [^=]*= \\{)`);
    expect(text).toMatch(start);
    fs.writeFileSync(path, text.replace(start, `$1 "${from}": ["${to}"],`));
    try {
      expect(checkImports()).toEqual({
        exitCode: 1,
        text:
          `tools/boundaries.ts: ${from} → ${to} in ${name} is not needed any more: take it out\n`,
      });
    } finally {
      fs.writeFileSync(path, text);
    }
  });

  test.each([
    ["an import that is worked out", "export const a = (name: string) => import(`./${name}.ts`);"],
    ["the runtime, at run time", 'export const a = () => import("node:fs");'],
    ["the runtime", 'export * from "bun:ffi";'],
    [
      "what all objects have, taken for what a table has",
      'const WORDS: Readonly<Record<string, string>> = { a: "b" };\n' +
      "export const a = (kind: string) => WORDS[kind] ?? kind;",
    ],
    [
      "the same of an argument",
      "export const a = (nodes: Record<string, string>, name: string) => nodes[name];",
    ],
  ])("%s", (_, text) => {
    const deno = join(root, "node_modules/.bin/deno");
    const result = withPlanted(
      { "core/xen/planted.ts": text },
      () => run([deno, "lint", "core/xen/planted.ts"]),
    );
    expect(result.text).toMatch(/xdevd\/(imports-by-name|runtime-at-the-edge|own-properties)/);
    expect(result.exitCode).toBe(1);
  });
});

test("types of the platform may be seen by the core", () => {
  const planted = {
    "core/xen/planted.ts": 'import type { Files } from "../../platform/types.ts";\n' +
      "export type Planted = Files;",
  };
  expect(withPlanted(planted, checkImports)).toEqual({ exitCode: 0, text: "" });
});
