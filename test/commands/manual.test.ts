/** Manual pages, which are made from the table of commands. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtIns } from "../../built_in.ts";
import { layout } from "../../commands/install/layout.ts";
import type { CommandData } from "../../commands/line/data.ts";
import { manualPages } from "../../commands/manual/pages.ts";
import { makeProgram } from "../../commands/program.ts";
import { requireReal } from "../real/requirements.ts";

const make = () => makeProgram(builtIns, [], () => {}, { print() {}, width: () => 80 }).data;
const program = make();
const pages = manualPages(program);
const commands = program.groups.flatMap(([, commands]) => commands);

/** As it is read: without the marks of the page's language. */
function plain(page: string): string {
  return page.replace(/\\f[BIR]/g, "").replaceAll("\\-", "-").replaceAll("\\&", "")
    .replaceAll("\\(aq", "'").replaceAll("\\(dq", '"').replaceAll("\\(ti", "~")
    .replaceAll("\\(ha", "^").replaceAll("\\e", "\\");
}

function below(command: CommandData): CommandData[] {
  return [command, ...command.groups.flatMap(([, commands]) => commands.flatMap(below))];
}

test("the program has a page, and each of its commands", () => {
  expect([...pages.keys()]).toEqual([
    "xdevd",
    ...commands.map(({ name }) => name.replace(" ", "-")),
  ]);
  for (const { name } of commands) {
    expect(pages.get("xdevd")).toContain(`.BR ${name.replace(/[ -]/g, "\\-")} (8)`);
  }
});

test.each(commands.map((command) => [command.name, command] as const))(
  "%s: all options, arguments and examples",
  (_, command) => {
    const page = plain(pages.get(command.name.replace(" ", "-"))!);
    for (const { name, options, examples, args } of below(command)) {
      expect(page).toContain(name);
      for (const { long } of options) expect(page).toContain(long);
      for (const arg of args) expect(page).toContain(arg.name);
      for (const [line] of examples) expect(page).toContain(`\n${line}\n`);
    }
  },
);

test("there are no gaps, only ASCII, and the same page each time", () => {
  for (const [name, page] of pages) {
    expect({ name, odd: page.match(/[^\n -~]/) }).toEqual({ name, odd: null });
    expect(page).not.toContain("gap:");
    expect(page).not.toContain("undefined");
  }
  expect(manualPages(make())).toEqual(pages);
});

test("exit statuses are those of the table of messages", () => {
  const page = pages.get("xdevd")!;
  const text = readFileSync(join(import.meta.dir, "../../docs/cli.md"), "utf8");
  const statuses = [...text.matchAll(/^\| (\d+) \| /gm)].map(([, status]) => Number(status));
  expect(statuses.length).toBeGreaterThan(14);
  for (const status of statuses) expect(page).toContain(`.TP\n${status}\n`);
});

test("`install --manual` lays out pages and completions", () => {
  const paths = layout({ links: false, services: [], initramfs: [], manual: pages })
    .map(({ path }) => path);
  for (const name of pages.keys()) expect(paths).toContain(`/usr/share/man/man8/${name}.8`);
  for (const name of ["bash-completion/completions/xdevd", "zsh/site-functions/_xdevd"]) {
    expect(paths).toContain(`/usr/share/${name}`);
  }
  expect(paths).toContain("/usr/share/fish/vendor_completions.d/xdevd.fish");
  const without = layout({ links: false, services: [], initramfs: [] }).map(({ path }) => path);
  expect(without.filter((path) => path.startsWith("/usr/share"))).toEqual([]);
});

if (requireReal("manual pages by man", { packages: ["man-db"] })) {
  describe("man", () => {
    let directory: string;
    beforeAll(() => directory = mkdtempSync(join(tmpdir(), "xdevd-man-")));
    afterAll(() => rmSync(directory, { recursive: true }));

    test("has nothing to complain of, and shows them", () => {
      for (const [name, page] of pages) {
        const file = join(directory, `${name}.8`);
        writeFileSync(file, page);
        // As lintian asks it.
        const args = ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", file];
        const { stdout, stderr } = spawnSync("man", args, {
          encoding: "utf8",
          env: { PATH: process.env["PATH"], LC_ALL: "C.UTF-8", MANROFFSEQ: "", MANWIDTH: "80" },
        });
        expect({ name, stderr }).toEqual({ name, stderr: "" });
        expect(stdout.length).toBeGreaterThan(500);
      }
    }, 60_000);
  });
}
