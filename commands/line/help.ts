/** The text of `--help`. Pure. */
import type { Argument, Option } from "./option.ts";

/** What a command's help is made of. */
export interface HelpParts {
  /** With the names of the commands that it is one of. */
  readonly name: string;
  /** What may follow the name. */
  readonly usage: string;
  readonly description: string;
  readonly args: readonly Argument[];
  /** Those that are shown. */
  readonly options: readonly Option[];
  /** How each is used, and what it does. */
  readonly commands: readonly (readonly [term: string, description: string])[];
  /** What comes behind it all. */
  readonly more: string;
}

/** A column that is narrower is not wrapped, in characters. */
const WRAP_MIN = 40;
const INDENT = 2;
const GAP = 2;

/** @param width of the terminal, in characters */
export function helpText(parts: HelpParts, width: number): string {
  const { name, usage, description, args, options, commands, more } = parts;
  const described = args.some((arg) => arg.description !== "") ? args : [];
  const sections: [title: string, rows: (readonly [string, string])[]][] = [
    ["Arguments:", described.map((arg) => [arg.name, arg.description])],
    ["Options:", options.map((option) => [option.flags, optionText(option)])],
    ["Commands:", [...commands]],
  ];
  const terms = sections.flatMap(([, rows]) => rows.map(([term]) => term.length));
  const column = Math.max(0, ...terms);
  const lines = [`Usage: ${name} ${usage}`, ""];
  if (description !== "") lines.push(wrapped(description, width), "");
  for (const [title, rows] of sections) {
    if (rows.length === 0) continue;
    lines.push(title, ...rows.map(([term, text]) => row(term, text, column, width)), "");
  }
  return `${lines.join("\n")}${more === "" ? "" : `${more}\n`}`;
}

function optionText(option: Option): string {
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
