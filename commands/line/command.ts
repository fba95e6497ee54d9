/** A command line: commands, each with options and arguments, told as data and then taken apart. */
import type { CommandData, Example } from "./data.ts";
import { helpText } from "./help.ts";
import { Argument, InvalidArgumentError, Option, type Parser } from "./option.ts";
import { didYouMean } from "./similar.ts";

export { type Example, InvalidArgumentError, Option };

/** The command line ends here; what there was to say of it has been said. */
export class LineEnded extends Error {
  /** 0: it asked for help or the version; 1: it was wrong, and the message says in what. */
  readonly status: 0 | 1;
  constructor(status: 0 | 1, message = "the command line has ended") {
    super(message);
    this.status = status;
  }
}

/** Where words go, and how wide a line may be there, in characters. */
export interface Output {
  print(stream: 1 | 2, text: string): void;
  width(stream: 1 | 2): number;
}

/** Gets a value for each argument, and then the options. */
// deno-lint-ignore no-explicit-any
type Action = (...args: any[]) => void | Promise<void>;

/** Where options are, in what an action gets. */
type Values = Record<string, unknown>;

/** Where commands are listed that are in no group. */
const NO_GROUP = "Commands:";

/** Opens each complaint. */
const PROGRAM = "xdevd";

/** What each command has. */
const HELP = new Option("-h, --help", "display help for command");

/** A command, or the program itself. */
export class Command {
  readonly #name: string;
  readonly #output: Output;
  readonly #parent: Command | null;
  readonly #isHidden: boolean;
  readonly #commands: Command[] = [];
  readonly #options: Option[] = [];
  readonly #args: Argument[] = [];
  readonly #values: Values = {};
  #description = "";
  #version: string | undefined;
  #more = "";
  #group = "";
  #subgroup = "";
  readonly #examples: Example[] = [];
  #action: Action | undefined;

  constructor(name: string, output: Output, parent: Command | null = null, isHidden = false) {
    this.#name = name;
    this.#output = output;
    this.#parent = parent;
    this.#isHidden = isHidden;
  }

  description(text: string): this {
    this.#description = text;
    return this;
  }

  /** Adds `--version`. */
  version(text: string): this {
    this.#version = text;
    return this.option("-V, --version", "output the version number");
  }

  /** What the help says at its end. */
  helpEnd(text: string): this {
    this.#more = text;
    return this;
  }

  /** The heading below which the help lists commands that are added from now on: `The store:`. */
  commandsGroup(heading: string): this {
    this.#subgroup = heading;
    return this;
  }

  /** What can be typed as it is, and what it does: the help of each command has two, or more. */
  example(line: string, does: string): this {
    this.#examples.push([line, does]);
    return this;
  }

  /** @param usage its name, and its arguments behind that: `name <one> [more...]` */
  command(usage: string, { hidden = false } = {}): Command {
    const [name = "", ...args] = usage.split(" ");
    const command = new Command(name, this.#output, this, hidden);
    command.#group = this.#subgroup;
    for (const arg of args) command.argument(arg);
    this.#commands.push(command);
    return command;
  }

  argument(usage: string, description?: string, parser?: Parser): this {
    this.#args.push(new Argument(usage, description, parser));
    return this;
  }

  option(flags: string, description: string, parser?: Parser | string, value?: unknown): this {
    const option = new Option(flags, description);
    if (typeof parser === "function") option.argParser(parser).default(value);
    else option.default(parser);
    return this.addOption(option);
  }

  requiredOption(flags: string, description: string, parser: Parser): this {
    return this.addOption(new Option(flags, description).argParser(parser).makeOptionMandatory());
  }

  addOption(option: Option): this {
    this.#options.push(option);
    if (option.negates) this.#values[option.property] = true;
    else if (option.defaultValue !== undefined) this.#values[option.property] = option.defaultValue;
    return this;
  }

  action(action: Action): this {
    this.#action = action;
    return this;
  }

  /**
   * Runs what the command line says.
   * @throws LineEnded when there is nothing to run: help, the version, or a complaint was printed
   */
  async parse(args: readonly string[]): Promise<void> {
    await this.resolve(args)();
  }

  /**
   * What the command line says, to be run. Options given stay with the commands: once is enough.
   * @throws LineEnded as {@link parse}
   */
  resolve(args: readonly string[]): () => void | Promise<void> {
    return this.#resolve([], args);
  }

  /** @param before what came before an option that this command does not know */
  #resolve(before: readonly string[], args: readonly string[]): () => void | Promise<void> {
    const taken = this.#takeOptions(args);
    const operands = [...before, ...taken.operands];
    const [first, ...rest] = operands;
    const sub = this.#commands.find((command) => command.#name === first);
    if (sub !== undefined) return sub.#resolve(rest, taken.unknown);
    if (this.#commands.length > 0 && first === "help") this.#helpOf(rest[0]);
    if (this.#commands.length > 0 && operands.length + taken.unknown.length === 0) {
      this.#help(2);
    }
    if (taken.unknown.some((arg) => arg === HELP.short || arg === HELP.long)) this.#help(1);
    for (const { isMandatory, property, flags } of this.#options) {
      if (isMandatory && this.#values[property] === undefined) {
        this.#complain(`required option '${flags}' not specified`);
      }
    }
    if (first !== undefined && this.#action === undefined) {
      const names = this.#shown().map((command) => command.#name);
      this.#complain(`unknown command '${first}'${didYouMean(first, [...names, "help"])}`);
    }
    const [unknown] = taken.unknown;
    if (unknown !== undefined) this.#unknownOption(unknown);
    const values = this.#argumentsOf(operands);
    return () => this.#action?.(...values, this.#values);
  }

  /** Takes the options that it knows, wherever they stand; all from the first that it does not is `unknown`. */
  #takeOptions(args: readonly string[]): { operands: string[]; unknown: string[] } {
    const operands: string[] = [];
    const unknown: string[] = [];
    let rest = operands;
    const left = [...args];
    for (let arg; (arg = left.shift()) !== undefined;) {
      if (arg === "--") {
        if (rest === unknown) rest.push(arg);
        rest.push(...left);
        break;
      }
      const isOption = arg.length > 1 && arg.startsWith("-");
      // What a command that was named has itself is that command's.
      const known = isOption && !this.#isOfSub(operands, arg) ? this.#find(arg) : undefined;
      if (known !== undefined) {
        if (!known.takesValue) this.#set(known);
        else if (left.length === 0) this.#complain(`option '${known.flags}' argument missing`);
        else this.#set(known, left.shift());
        continue;
      }
      // -xVALUE, and -xy for -x -y
      const cluster = /^-[^-]./.test(arg) ? this.#find(arg.slice(0, 2)) : undefined;
      if (cluster !== undefined) {
        if (cluster.takesValue) this.#set(cluster, arg.slice(2));
        else {
          this.#set(cluster);
          left.unshift(`-${arg.slice(2)}`);
        }
        continue;
      }
      const [, name, value] = /^(--[^=]+)=(.*)$/s.exec(arg) ?? [];
      const named = name === undefined ? undefined : this.#find(name);
      if (named?.takesValue) {
        this.#set(named, value);
        continue;
      }
      const isNumber = this.#commands.length === 0 && /^-(\d|\d*\.\d+)(e[+-]?\d+)?$/.test(arg);
      if (isOption && !isNumber) rest = unknown;
      rest.push(arg);
    }
    return { operands, unknown };
  }

  /** Whether one of the commands that operands name has this option. */
  #isOfSub([name, ...rest]: readonly string[], flag: string): boolean {
    const sub = this.#commands.find((command) => command.#name === name);
    return sub !== undefined && (sub.#find(flag) !== undefined || sub.#isOfSub(rest, flag));
  }

  #find(flag: string): Option | undefined {
    return this.#options.find(({ short, long }) => flag === short || flag === long);
  }

  #set(option: Option, text?: string): void {
    if (option.long === "--version" && this.#version !== undefined) {
      this.#output.print(1, `${this.#version}\n`);
      throw new LineEnded(0);
    }
    const { property, parser, flags } = option;
    // What a variable that is not set leaves of a path is no path: not the current directory, either.
    if (text === "" && /<(file|dir|path)>/.test(flags)) {
      this.#complain(`option '${flags}' argument '' is invalid. Expected a path.`);
    }
    if (text === undefined) this.#values[property] = !option.negates;
    else if (parser === undefined) this.#values[property] = text;
    else {
      const what = `option '${flags}' argument '${text}' is invalid.`;
      this.#values[property] = this.#parsed(parser, text, this.#values[property], what);
    }
  }

  #argumentsOf(given: readonly string[]): unknown[] {
    const absent = this.#options.filter(({ property }) => this.#values[property] === true)
      .map(({ standsFor }) => standsFor);
    const expected = this.#args.filter(({ name }) => !absent.includes(name));
    // Where an option stands for one, there is nothing.
    const operands: (string | undefined)[] = [...given];
    this.#args.forEach(({ name }, index) => {
      if (absent.includes(name)) operands.splice(index, 0, undefined);
    });
    this.#args.forEach((arg, index) => {
      if (arg.required && operands[index] === undefined && expected.includes(arg)) {
        this.#complain(`missing required argument '${arg.name}'`);
      }
    });
    if (given.length > expected.length && !expected.at(-1)?.variadic) {
      const of = this.#parent === null ? "" : ` for '${this.#name}'`;
      const many = `${expected.length} argument${expected.length === 1 ? "" : "s"}`;
      this.#complain(`too many arguments${of}. Expected ${many} but got ${given.length}.`);
    }
    return this.#args.map(({ variadic, parser, name }, index) => {
      if (variadic) return operands.slice(index);
      const text = operands[index];
      if (text === undefined || parser === undefined) return text;
      const what = `value '${text}' is invalid for argument '${name}'.`;
      return this.#parsed(parser, text, undefined, what);
    });
  }

  #parsed(parser: Parser, text: string, previous: unknown, what: string): unknown {
    try {
      return parser(text, previous);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      return this.#complain(`${what} ${error.message}`);
    }
  }

  #unknownOption(flag: string): never {
    const known = this.#longOptions();
    const question = flag.startsWith("--") ? didYouMean(flag, known) : "";
    return this.#complain(`unknown option '${flag}'${question}`);
  }

  /** Its own, and those of the commands that it is one of. */
  #longOptions(): string[] {
    const own = this.#shownOptions().map(({ long }) => long);
    return this.#parent === null ? own : [...own, ...this.#parent.#longOptions()];
  }

  #complain(problem: string): never {
    this.#output.print(2, `${PROGRAM}: ${problem}\n(--help tells more)\n`);
    throw new LineEnded(1, problem);
  }

  #shown(): Command[] {
    return this.#commands.filter((command) => !command.#isHidden);
  }

  #shownOptions(): Option[] {
    return [...this.#options.filter(({ isHidden }) => !isHidden), HELP];
  }

  #helpOf(name: string | undefined): never {
    if (name === undefined || name === "" || name === "help") return this.#help(1);
    const named = this.#commands.find((command) => command.#name === name);
    if (named !== undefined) return named.#help(1);
    const names = this.#shown().map((command) => command.#name);
    return this.#complain(`unknown command '${name}'${didYouMean(name, names)}`);
  }

  /** All that there is to know of it. */
  get data(): CommandData {
    let name = this.#name;
    for (let at = this.#parent; at !== null; at = at.#parent) name = `${at.#name} ${name}`;
    const groups = new Map<string, CommandData[]>();
    for (const command of this.#shown()) {
      const heading = command.#group || NO_GROUP;
      groups.set(heading, [...groups.get(heading) ?? [], command.data]);
    }
    return {
      name,
      usage: [
        "[options]",
        ...(this.#commands.length > 0 ? ["[command]"] : []),
        ...this.#args.map(({ term }) => term),
      ].join(" "),
      description: this.#description,
      more: this.#more,
      args: this.#args,
      options: this.#shownOptions(),
      examples: this.#examples,
      groups: [...groups],
    };
  }

  /** Prints it: asked for, or in the place of a complaint. */
  #help(stream: 1 | 2): never {
    const { print, width } = this.#output;
    print(stream, helpText(this.data, this.#subgroup || NO_GROUP, width(stream)));
    throw stream === 1 ? new LineEnded(0) : new LineEnded(1, "expected a command");
  }
}
