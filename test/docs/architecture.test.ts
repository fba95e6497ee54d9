/** docs/architecture.md is the map of the house: what it names is there, and its walks can be walked. */
import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { dirname, join, normalize } from "node:path";

const root = join(import.meta.dir, "..", "..");
const document = fs.readFileSync(join(root, "docs/architecture.md"), "utf8");

/** What one file imports. */
interface Imports {
  /** All it names, types included. */
  readonly all: ReadonlySet<string>;
  /** What is there when it runs. */
  readonly values: ReadonlySet<string>;
}

const known = new Map<string, Imports>();
const transpiler = new Bun.Transpiler({ loader: "ts" });

/** By their places in the repository. */
function importsOf(file: string): Imports {
  const before = known.get(file);
  if (before !== undefined) return before;
  const text = fs.readFileSync(join(root, file), "utf8");
  const placesOf = (specifiers: readonly string[]) =>
    new Set(
      specifiers.filter((name) => name.startsWith(".")).map((name) =>
        normalize(join(dirname(file), name))
      ),
    );
  const named = [...text.matchAll(/\b(?:from|import\(|import)\s*"([^"]+)"/g)];
  const imports = {
    all: placesOf(named.map(([, name]) => name!)),
    values: placesOf(transpiler.scanImports(text).map(({ path }) => path)),
  };
  known.set(file, imports);
  return imports;
}

/** One step of a walk. */
interface Step {
  readonly file: string;
  /** What stands behind the file, in parentheses; null: nothing does. */
  readonly mark: string | null;
}

interface Walk {
  readonly title: string;
  /** How many files its title promises. */
  readonly count: number;
  readonly steps: readonly Step[];
}

function walksOf(text: string): Walk[] {
  return text.split(/^## /m).flatMap((section) => {
    const [, title, count] = /^(Walk \d+: .*) \((\d+) files\)$/m.exec(section) ?? [];
    if (title === undefined) return [];
    const steps = section.split("\n").flatMap((line) => {
      if (!/^\d+\. /.test(line)) return [];
      const [, file, mark = null] = /^\d+\. `([^`]+)`(?: \(([^)]*)\))?: \S/.exec(line) ?? [];
      if (file === undefined) throw new Error(`${title}: not understood: ${line}`);
      return [{ file, mark }];
    });
    return [{ title, count: Number(count), steps }];
  });
}

/** What is wrong with the step from the last of `before` to this one; null: nothing. */
function faultOf({ file, mark }: Step, before: readonly string[]): string | null {
  const above = before.at(-1)!;
  if (mark === null) {
    return importsOf(above).values.has(file) ? null : `${above} does not import ${file}`;
  }
  if (mark === "called back") {
    return importsOf(file).all.has(above) ? null : `${file} does not import ${above}`;
  }
  const [, word, listed, to] = /^(from|handed by) (`[^`]+`(?:, `[^`]+`)*)(?: to `([^`]+)`)?$/
    .exec(mark) ?? [];
  if (word === undefined) return `${file}: the mark (${mark}) is none of those explained`;
  const files = listed!.split(", ").map((name) => name.slice(1, -1));
  const first = files[0]!;
  if (word === "from") {
    if (files.length > 1 || to !== undefined) return `${file}: (${mark}) names more than one file`;
    if (!before.includes(first)) return `${file}: ${first} is no step before it`;
    return importsOf(first).values.has(file) ? null : `${first} does not import ${file}`;
  }
  const strangers = files.slice(1).filter((name, index) =>
    !files.slice(0, index + 1).some((other) => importsOf(other).all.has(name))
  );
  if (strangers.length > 0) {
    return `${file}: no file before ${strangers[0]} in (${mark}) imports it`;
  }
  if (!files.some((name) => importsOf(name).values.has(file))) {
    return `${file}: none of (${mark}) imports it`;
  }
  if (to !== undefined && !before.includes(to)) return `${file}: ${to} is no step before it`;
  if (to === undefined && before.includes(first)) return null;
  const receiver = to ?? above;
  return files.some((name) => name === receiver || importsOf(name).all.has(receiver))
    ? null
    : `${file}: none of (${mark}) imports ${receiver}, which is to get it`;
}

function faultsOf({ title, count, steps }: Walk): string[] {
  const files = steps.map(({ file }) => file);
  return [
    ...(files.length === count ? [] : [`${title}: has ${files.length} files, and says ${count}`]),
    ...files.filter((file, index) => files.indexOf(file) !== index)
      .map((file) => `${title}: ${file} is there twice`),
    ...steps.slice(1).flatMap((step, index) => {
      const fault = faultOf(step, files.slice(0, index + 1));
      return fault === null ? [] : [`${title}: ${fault}`];
    }),
  ];
}

const walks = walksOf(document);

test("every file and folder that is named exists", () => {
  const named = [...document.matchAll(/`([\w./-]+(?:\/|\.(?:ts|mjs|c|md|json)))`/g)]
    .map(([, name]) => name!);
  expect(named.length).toBeGreaterThan(150);
  // Of the core's daemon and its scripts, folders are named by their last part.
  const homes = ["", "core/daemon/", "core/hotplug/"];
  const missing = new Set(
    named.filter((name) =>
      !homes.some((home) =>
        fs.existsSync(join(root, home, name)) &&
        fs.statSync(join(root, home, name)).isDirectory() === name.endsWith("/")
      )
    ),
  );
  expect([...missing]).toEqual([]);
  const links = [...document.matchAll(/\]\(([^):]+)\)/g)].map(([, name]) => name!);
  expect(links.filter((name) => !fs.existsSync(join(root, "docs", name)))).toEqual([]);
});

test("every folder of ours is named", () => {
  const hidden = /^(node_modules|build|dist|docs|\..*)$/;
  const foldersIn = (folder: string) =>
    fs.readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !hidden.test(entry.name))
      .map(({ name }) => `${folder}${name}/`);
  const folders = ["", "platform/", "core/"].flatMap(foldersIn);
  expect(folders.filter((folder) => !document.includes(`\`${folder}`))).toEqual([]);
});

test("there are five walks", () => {
  expect(walks.map(({ title }) => title.split(":")[0])).toEqual(
    [1, 2, 3, 4, 5].map((number) => `Walk ${number}`),
  );
});

test.each(walks.map((walk) => [walk.title, walk] as const))("%s", (_, walk) => {
  expect(walk.steps.length).toBeGreaterThan(10);
  expect(faultsOf(walk)).toEqual([]);
});

describe("a walk that cannot be walked is noticed", () => {
  const steps = (...lines: string[]) =>
    walksOf(
      `## Walk 1: a walk (${lines.length} files)\n\n${
        lines.map((line, index) => `${index + 1}. ${line}: x`).join("\n")
      }`,
    )[0]!;

  test.each([
    ["a wrong count", { ...steps("`main.ts`"), count: 2 }, "has 1 files, and says 2"],
    ["a file twice", steps("`main.ts`", "`main.ts` (called back)"), "main.ts is there twice"],
    [
      "no import",
      steps("`main.ts`", "`core/daemon/daemon.ts`"),
      "main.ts does not import core/daemon/daemon.ts",
    ],
    [
      "an import of types, which calls nothing",
      steps("`core/daemon/daemon.ts`", "`core/xenstore/client.ts`"),
      "core/daemon/daemon.ts does not import core/xenstore/client.ts",
    ],
    [
      "nothing to call back by",
      steps("`main.ts`", "`core/daemon/daemon.ts` (called back)"),
      "core/daemon/daemon.ts does not import main.ts",
    ],
    [
      "from a file that is no step",
      steps("`main.ts`", "`core/daemon/devices.ts` (from `core/daemon/daemon.ts`)"),
      "core/daemon/daemon.ts is no step before it",
    ],
    [
      "handed by one who does not have it",
      steps("`core/daemon/slots.ts`", "`main.ts` (handed by `machine/system_parts.ts`)"),
      "none of (handed by `machine/system_parts.ts`) imports it",
    ],
    [
      "handed to one who does not get it",
      steps("`main.ts`", "`core/daemon/slots.ts` (handed by `machine/system_parts.ts`)"),
      "none of (handed by `machine/system_parts.ts`) imports main.ts, which is to get it",
    ],
    [
      "handed through a stranger",
      steps("`main.ts`", "`core/daemon/slots.ts` (handed by `built_in.ts`, `machine/connect.ts`)"),
      "no file before machine/connect.ts in (handed by `built_in.ts`, `machine/connect.ts`) imports it",
    ],
    [
      "a mark that nothing explains",
      steps("`main.ts`", "`core/daemon/slots.ts` (somehow)"),
      "the mark (somehow) is none of those explained",
    ],
  ])("%s", (_, walk, fault) => {
    expect(faultsOf(walk).join("\n")).toContain(fault);
  });
});
