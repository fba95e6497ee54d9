/** The sampler of `npm run test:mutants`: what it changes, what it leaves alone, and which tests it runs. */
import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EQUIVALENT } from "../../tools/mutants/equivalent.ts";
import { Related } from "../../tools/mutants/related.ts";
import { blanked, mutantsOf, mutated, randomFrom, sample } from "../../tools/mutants/sites.ts";

const changes = (source: string) =>
  mutantsOf("a.ts", source).map((mutant) => mutated(source, mutant));

test.each([
  ["if (a === b) c = 1;", ["if (a !== b) c = 1;", "if (!(a === b)) c = 1;", "if (a === b) c = 2;"]],
  ["x = a < 10;", ["x = a <= 10;", "x = a < 11;"]],
  ["x = a && b || c;", ["x = a || b || c;", "x = a && b && c;"]],
  ["return true;", ["return false;"]],
  ["  this.#go(1);", ["  ;", "  this.#go(2);"]],
  ["  if (a) return;", ["  if (!(a)) return;", "  if (a) ;"]],
  ["x = f(a) - 1;", ["x = f(a) + 1;", "x = f(a) - 2;"]],
])("%p becomes %p", (source, expected) => {
  expect(changes(source).sort()).toEqual([...expected].sort());
});

test.each([
  'x = "a === b";',
  "x = `a < 10`;",
  "// a === b",
  "/* if (a < b) return; */",
  "/** true\n * a === 1 */",
  'import { a } from "./b.ts";',
  "interface A {\n  readonly a: 1 | true;\n}",
  "export type A = 1 | true;",
  "x = /a === 1|\\/ < 2/;",
  "function f(a: B, c: 1 | -1) {}",
  "let a: true | null;",
])("%p stays as it is", (source) => {
  expect(changes(source)).toEqual([]);
});

test("what a template inserts is code, also behind a template inside it", () => {
  const source = "x = `a === ${f(`b < ${c === d}`) === 1} < 2`;";
  expect(changes(source).sort()).toEqual([
    "x = `a === ${f(`b < ${c !== d}`) === 1} < 2`;",
    "x = `a === ${f(`b < ${c === d}`) !== 1} < 2`;",
  ].sort());
  expect(blanked(source)).toHaveLength(source.length);
});

test("the program's own sources: places are what they say, and lines are right", () => {
  const path = join(import.meta.dir, "../../core/xenstore/codec.ts");
  const source = fs.readFileSync(path, "utf8");
  const found = mutantsOf("codec.ts", source);
  expect(found.length).toBeGreaterThan(50);
  const comments = source.split("\n").map((line) =>
    /^ *(\*|\/\*|\/\/|import|export \{)/.test(line)
  );
  for (const mutant of found) {
    expect(comments[mutant.line - 1]).toBe(false);
    expect(mutated(source, mutant)).not.toBe(source);
    expect(source.split("\n")[mutant.line - 1]).toContain(
      source.slice(mutant.from, mutant.to).trim().split("\n")[0]!,
    );
  }
});

test("what is listed as equivalent is a change of a line that there is", () => {
  for (const { file, line, what } of EQUIVALENT) {
    const source = fs.readFileSync(join(import.meta.dir, "../..", file), "utf8");
    const lines = source.split("\n").map((text) => text.trim());
    const found = mutantsOf(file, source)
      .filter((mutant) => lines[mutant.line - 1] === line && mutant.what === what);
    expect({ file, line, what, found: found.length > 0 }).toEqual({
      file,
      line,
      what,
      found: true,
    });
  }
});

test("a seed says which", () => {
  const all = Array.from({ length: 1_000 }, (_, at) => at);
  const draw = (seed: number) => sample(all, 50, randomFrom(seed));
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(new Set(draw(7)).size).toBe(50);
  expect(sample([1, 2], 5, randomFrom(1)).sort()).toEqual([1, 2]);
});

test("tests of a file: its own first, then those of its folder and those that import it", () => {
  const root = fs.mkdtempSync(join(tmpdir(), "xdevd-related-"));
  try {
    const files = {
      "core/a/one.ts": "",
      "core/a/two.ts": 'import { x } from "./one.ts";',
      "test/core/a/one.test.ts": 'import "../../../core/a/one.ts";',
      "test/core/a/two.test.ts": 'import "../../../core/a/two.ts";',
      "test/core/b/other.test.ts": 'import "../../../core/a/one.ts";',
      "test/core/b/none.test.ts": "",
    };
    for (const [file, text] of Object.entries(files)) {
      fs.mkdirSync(join(root, file, ".."), { recursive: true });
      fs.writeFileSync(join(root, file), text);
    }
    const names = Object.keys(files);
    const related = new Related(root, names, names.filter((name) => name.startsWith("test/")));
    expect(related.testsOf("core/a/one.ts")).toEqual([
      "test/core/a/one.test.ts",
      "test/core/a/two.test.ts",
      "test/core/b/other.test.ts",
    ]);
    expect(related.testsOf("core/a/two.ts")).toEqual([
      "test/core/a/two.test.ts",
      "test/core/a/one.test.ts",
    ]);
  } finally {
    fs.rmSync(root, { recursive: true });
  }
});
