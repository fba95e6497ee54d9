/** The text of `--help`. Pure. */
import type { CommandData, Example } from "./data.ts";
import type { Option } from "./option.ts";

/** A column that is narrower is not wrapped, in characters. */
const WRAP_MIN = 40;
const INDENT = 2;
const GAP = 2;

/** How the help of a command that has others is asked for. */
const HELP_ROW = ["help [command]", "display help for command"] as const;

/**
 * @param last heading below which the row for `help` is, where there are commands
 * @param width of the terminal, in characters
 */
export function helpText(command: CommandData, last: string, width: number): string {
  const { name, usage, description, args, options, groups, examples, more } = command;
  const described = args.some((arg) => arg.description !== "") ? args : [];
  const commands = new Map<string, (readonly [string, string])[]>(
    groups.map(([heading, commands]) => [heading, commands.map(commandRow)]),
  );
  if (groups.length > 0) commands.set(last, [...commands.get(last) ?? [], HELP_ROW]);
  const sections: [title: string, rows: readonly (readonly [string, string])[]][] = [
    ["Arguments:", described.map((arg) => [arg.name, arg.description])],
    ...[...Map.groupBy(options, ({ heading }) => heading)].map((
      [heading, options],
    ): [string, [string, string][]] => [
      heading,
      options.map((option) => [option.flags, optionText(option)]),
    ]),
    ...commands,
  ];
  const terms = sections.flatMap(([, rows]) => rows.map(([term]) => term.length));
  const column = Math.max(0, ...terms);
  const lines = [`Usage: ${name} ${usage}`, ""];
  if (description !== "") lines.push(wrapped(description, width), "");
  for (const [title, rows] of sections) {
    if (rows.length === 0) continue;
    lines.push(title, ...rows.map(([term, text]) => row(term, text, column, width)), "");
  }
  if (examples.length > 0) {
    lines.push("Examples:", ...examples.flatMap((example) => exampleLines(example, width)), "");
  }
  return `${lines.join("\n")}${more === "" ? "" : `\n${more}\n`}`;
}

function commandRow({ name, args, description }: CommandData): [string, string] {
  return [[name.split(" ").at(-1), ...args.map(({ term }) => term)].join(" "), description];
}

/** The line, and below it what it does. */
function exampleLines([line, does]: Example, width: number): string[] {
  const left = " ".repeat(2 * INDENT);
  const text = wrapped(does, width - left.length).replaceAll("\n", `\n${left}`);
  return [" ".repeat(INDENT) + line, left + text];
}

/** What an option does, with what it accepts and has by itself. */
export function optionText(option: Option): string {
  const more: string[] = [];
  if (option.allowed !== undefined) {
    more.push(`choices: ${option.allowed.map((choice) => JSON.stringify(choice)).join(", ")}`);
  }
  if (option.defaultValue !== undefined && option.takesValue) {
    more.push(`default: ${option.defaultText ?? JSON.stringify(option.defaultValue)}`);
  }
  if (more.length === 0) return option.description;
  return `${option.description} (${more.join(", ")})`;
}

function row(term: string, text: string, column: number, width: number): string {
  if (text === "") return " ".repeat(INDENT) + term;
  const left = INDENT + column + GAP;
  const lines = wrapped(text, width - left).split("\n");
  return " ".repeat(INDENT) + term.padEnd(column + GAP) + lines.join(`\n${" ".repeat(left)}`);
}

/** Lines of at most so many characters, if words allow it. */
function wrapped(text: string, width: number): string {
  if (width < WRAP_MIN) return text;
  const lines: string[] = [];
  let line = "";
  // A word with the blanks before it.
  for (const word of text.match(/\s*\S+/g) ?? []) {
    if (line === "" || line.length + word.length <= width) line += word;
    else {
      lines.push(line);
      line = word.trimStart();
    }
  }
  return [...lines, line].join("\n");
}
