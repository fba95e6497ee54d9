/** What the help of each command tells people to type. */
import { describe, expect, test } from "bun:test";
import { builtIns } from "../../built_in.ts";
import { deviceNamed } from "../../commands/device/kinds.ts";
import { checkSpec } from "../../commands/device/serve_created.ts";
import type { Command } from "../../commands/line/command.ts";
import type { CommandData } from "../../commands/line/data.ts";
import { makeProgram } from "../../commands/program.ts";
import { wordsOf } from "../support/shell_words.ts";
import { toolCalled } from "../../commands/store/tools/tool_called.ts";

/** A program whose commands have not seen a command line, and print nothing. */
function fresh(): Command {
  let said = "";
  const output = {
    print: (_: 1 | 2, text: string) => void (said += text),
    width: () => 80,
  };
  return makeProgram(builtIns, [], () => {}, output);
}

function all(command: CommandData): CommandData[] {
  return [command, ...command.groups.flatMap(([, commands]) => commands.flatMap(all))];
}

const commands = all(fresh().data);

test("words of a line", () => {
  expect(wordsOf(`A=b xdevd store write /t "two words" && echo`))
    .toEqual(["store", "write", "/t", "two words"]);
  expect(wordsOf(`mount "$(xdevd local-attach 7 xvda)" /mnt`)).toEqual([
    "local-attach",
    "7",
    "xvda",
  ]);
});

test("every command has two examples, a group and a description", () => {
  expect(commands.length).toBeGreaterThan(40);
  const lacking = commands.filter(({ examples, description }) =>
    examples.length < 2 || description === "" || examples.some(([, does]) => does === "")
  );
  expect(lacking.map(({ name }) => name)).toEqual([]);
  expect(commands[0]!.groups.map(([heading]) => heading)).not.toContain("Commands:");
});

describe("examples", () => {
  const lines = commands.flatMap(({ name, examples }) => examples.map(([line]) => [line, name]));

  test("none is there twice", () => {
    expect(new Set(lines.map(([line, name]) => `${name}: ${line}`)).size).toBe(lines.length);
  });

  test.each(lines)("%s", (line, name) => {
    const words = wordsOf(line!);
    if (name !== "xdevd") expect(["xdevd", ...words].join(" ")).toStartWith(`${name!} `.trimEnd());
    if (toolCalled("xdevd", words) !== null || words[0] === "--version") return;
    expect(() => fresh().resolve(words)).not.toThrow();
    expect(line!.length).toBeLessThan(100);
    // The specification is taken, too.
    const [family, device] = words[0] === "request" ? words.slice(1) : words;
    const named = /^(block|network|vtpm)-attach$/.exec(family!)?.[1];
    const kinds: Record<string, string> = { block: "disk", network: "vif", vtpm: "vtpm" };
    const kind = named === undefined ? device! : kinds[named]!;
    if (!family!.endsWith("attach") || family === "local-attach") return;
    const specs = words.filter(isSpec);
    if (words.includes("--serve")) checkSpec(kind, specs);
    else deviceNamed(kind)!.dryRun(specs);
  });
});

function isSpec(word: string): boolean {
  return /^[a-z_]+=/.test(word);
}
