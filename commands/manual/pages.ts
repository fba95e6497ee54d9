/** Manual pages, made from the table of commands. Pure. */
import intro from "../../packaging/xdevd.8.in" with { type: "text" };
import { own } from "../../contract/v1/own.ts";
import { MESSAGES } from "../../core/messages/table.ts";
import { VERSION } from "../../core/version.ts";
import type { CommandData } from "../line/data.ts";
import type { Option } from "../line/option.ts";
import { optionText } from "../line/help.ts";

/** The section of the manual that they are in. */
export const MANUAL_SECTION = 8;

/**
 * A page for the program, and one for each of its commands.
 * @returns their texts by their names, `xdevd-list`
 */
export function manualPages(program: CommandData): Map<string, string> {
  const commands = program.groups.flatMap(([, commands]) => commands);
  return new Map([
    [pageName(program), `${title(program)}${filled(program)}`],
    ...commands.map((command) => [pageName(command), commandPage(command, program)] as const),
  ]);
}

function pageName({ name }: CommandData): string {
  return name.replaceAll(" ", "-");
}

/** Without a date: the same sources make the same page. */
function title(command: CommandData): string {
  const name = pageName(command).toUpperCase();
  return `.TH "${safe(name)}" ${MANUAL_SECTION} "" "xdevd ${VERSION}" "Xen driver domains"\n`;
}

/** What is written by hand, with what the tables tell in its gaps. */
function filled(program: CommandData): string {
  const gaps: Readonly<Record<string, () => string>> = {
    commands: () => program.groups.map(groupText).join(""),
    statuses: () =>
      statuses().map(([status, problems]) =>
        paragraph(String(status), problems.map(sentence).join("\n"))
      ).join(""),
  };
  return intro.replace(/^\.\\" gap: (\w+)\n/gm, (_, name: string) => own(gaps, name)!());
}

function groupText([heading, commands]: CommandData["groups"][number]): string {
  const list = commands.map((command) =>
    `.TP\n.BR ${safe(pageName(command))} (${MANUAL_SECTION})\n${sentence(command.description)}\n`
  );
  return `.SS "${safe(heading.replace(/:$/, ""))}"\n${list.join("")}`;
}

/** Problems that end a command, by its exit status. */
function statuses(): [status: number, problems: string[]][] {
  const found = new Map<number, string[]>();
  for (const { status, problem } of Object.values(MESSAGES)) {
    if (status !== undefined) found.set(status, [...found.get(status) ?? [], problem]);
  }
  return [...found].sort(([a], [b]) => a - b);
}

function commandPage(command: CommandData, program: CommandData): string {
  const subcommands = command.groups.flatMap(([, commands]) => commands);
  const group = program.groups.find(([, commands]) => commands.includes(command))?.[1] ?? [];
  const see = [program, ...group.filter((other) => other !== command)];
  return [
    title(command),
    `.SH NAME\n${safe(pageName(command))} \\- ${text(command.description)}\n`,
    `.SH SYNOPSIS\n`,
    ...(subcommands.length > 0 ? subcommands : [command]).map((one, at) =>
      `${at > 0 ? ".br\n" : ""}${synopsis(one)}`
    ),
    `.SH DESCRIPTION\n${sentence(command.description)}\n`,
    ...subcommands.length > 0
      ? subcommands.map((one) =>
        `.SS ${bold(one.name)}\n${sentence(one.description)}\n` +
        `${argumentsOf(one)}${optionsOf(one)}${examplesOf(one)}`
      )
      : [argumentsOf(command), `.SH OPTIONS\n${optionsOf(command)}`],
    `.SH EXAMPLES\n${examplesOf(command)}`,
    `.SH EXIT STATUS\n0 when it is done; else a status that\n.BR xdevd (${MANUAL_SECTION})\nlists.\n`,
    command.options.some(({ long }) => long === "--json")
      ? `With\n.B \\-\\-json\na failure is JSON, too.\n`
      : "",
    `.SH SEE ALSO\n`,
    see.map((one) => `.BR ${safe(pageName(one))} (${MANUAL_SECTION})`).join(",\n"),
    "\n",
  ].join("");
}

function synopsis({ name, args }: CommandData): string {
  const words = args.map(({ name, required, variadic }) => {
    const word = `${italic(name)}${variadic ? " ..." : ""}`;
    return required ? word : `[${word}]`;
  });
  return `${[bold(name), "[option ...]", ...words].join(" ")}\n`;
}

function argumentsOf({ args }: CommandData): string {
  return args.filter(({ description }) => description !== "")
    .map(({ name, description }) => paragraph(italic(name), sentence(description))).join("");
}

/** Those below another heading come last, below it. */
function optionsOf({ options }: CommandData): string {
  const [main = [], ...others] = Map.groupBy(options, ({ heading }) => heading).values();
  const titled = others.map((group) =>
    `.PP\n${text(group[0]!.heading)}\n${group.map(optionOf).join("")}`
  );
  return main.map(optionOf).join("") + titled.join("");
}

function optionOf(option: Option): string {
  const flags = option.flags.split(/, /).map((flag) => {
    const [name = "", value] = flag.split(" ");
    return value === undefined ? bold(name) : `${bold(name)} ${italic(value.slice(1, -1))}`;
  });
  return paragraph(flags.join(", "), sentence(optionText(option)));
}

function examplesOf({ examples }: CommandData): string {
  return examples.map(([line, does]) => paragraph(bold(line), sentence(does))).join("");
}

function paragraph(tag: string, body: string): string {
  return `.TP\n${tag}\n${body}\n`;
}

/** A sentence: with a capital, unless it begins with something to be typed, and an end. */
function sentence(words: string): string {
  const first = /^[a-z][a-z-]*(?=[\s,;:]|$)/.test(words) ? words[0]!.toUpperCase() : words[0] ?? "";
  return text(`${first}${words.slice(1)}${/[.?!]$/.test(words) ? "" : "."}`);
}

/** Prose, in which what stands in `backquotes` is to be typed. */
function text(words: string): string {
  return words.split("`").map((part, at) => at % 2 === 1 ? bold(part) : safe(part, false)).join("")
    .replace(/^(?=[.'])/, "\\&");
}

function bold(words: string): string {
  return `\\fB${safe(words)}\\fR`;
}

function italic(words: string): string {
  return `\\fI${safe(words)}\\fR`;
}

/** Letters as they are. @param typed whether it is to be typed: a hyphen is a minus sign then */
function safe(words: string, typed = true): string {
  const plain = words.replaceAll("\\", "\\e").replaceAll("…", "...").replaceAll("~", "\\(ti")
    .replaceAll("^", "\\(ha").replaceAll('"', "\\(dq");
  return (typed ? plain.replaceAll("-", "\\-").replaceAll("'", "\\(aq") : plain)
    .replace(/^(?=[.'])/, "\\&");
}
