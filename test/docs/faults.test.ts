/** docs/faults.md names tests: they have to exist. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..", "..");
const rows = readFileSync(join(root, "docs", "faults.md"), "utf8").split("\n")
  .flatMap((line) => /^\| (\d+) \| (.*) \| (.*) \|$/.exec(line)?.slice(1) ? [line] : []);

test("all 37 faults are there, once each, with a test or a word on why there is none", () => {
  expect(rows.map((row) => Number(row.split("|")[1]))).toEqual(
    Array.from({ length: 37 }, (_, index) => index + 1),
  );
  for (const row of rows) expect(row).toMatch(/`[\w/.]+\.ts`: |scenario `\w+`|open \(/);
});

test("every test that is named exists", () => {
  const named = rows.flatMap((row) =>
    [...row.matchAll(/`([\w/.]+\.ts)`: ([^;|.(]+)/g)].map((
      [, file, title],
    ) => [file!, title!.trim()])
  );
  expect(named.length).toBeGreaterThan(40);
  const missing = named.filter(([file, title]) => {
    const text = readFileSync(join(root, "test", file!), "utf8");
    const titles = [...text.matchAll(/(?:test|it)\(\s*[`"](.*?)[`"],/g)].map(([, name]) => name!);
    return !titles.some((name) => name.includes(title!));
  });
  expect(missing).toEqual([]);
});

test("every scenario that is named exists", () => {
  const named = rows.flatMap((row) =>
    [...row.matchAll(/scenario `(\w+)`/g)].map(([, name]) => name!)
  );
  expect(named).toContain("smoke");
  for (const name of named) {
    expect(existsSync(join(root, `test/xen/scenarios/${name}.sh`))).toBe(true);
  }
});
