/** Options and arguments of a command, as data. */

/** An argument or an option's value is none that is accepted; the message says what is. */
export class InvalidArgumentError extends Error {
  override name = "InvalidArgumentError";
}

/** Makes a value of a text, and of what there was before: the default, or an earlier one. */
// deno-lint-ignore no-explicit-any
export type Parser = (text: string, previous: any) => unknown;

/** An option. */
export class Option {
  readonly flags: string;
  readonly description: string;
  /** `-x`. */
  readonly short: string | undefined;
  /** `--name`. */
  readonly long: string;
  /** Whether a value has to follow. */
  readonly takesValue: boolean;
  /** Whether it turns something off: `--no-name`. */
  readonly negates: boolean;
  parser: Parser | undefined;
  defaultValue: unknown;
  defaultText: string | undefined;
  allowed: readonly string[] | undefined;
  /** What a shell completes its value to, where more than these is accepted. */
  suggestions: readonly string[] = [];
  /** The argument that is not there when this option is. */
  standsFor: string | undefined;
  /** What it is listed below in the help. */
  heading = "Options:";
  isHidden = false;
  isMandatory = false;

  /** @param flags `-s, --long <value>`; the short one and the value may be missing */
  constructor(flags: string, description = "") {
    this.flags = flags;
    this.description = description;
    const words = flags.split(/[ ,]+/);
    this.short = words.find((word) => /^-[^-]$/.test(word));
    this.long = words.find((word) => word.startsWith("--"))!;
    this.takesValue = flags.includes("<");
    this.negates = this.long.startsWith("--no-");
  }

  /** The property that has its value. */
  get property(): string {
    const name = this.long.replace(/^--(no-)?/, "");
    return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  }

  /** @param text what the help says in the place of the value */
  default(value: unknown, text?: string): this {
    this.defaultValue = value;
    this.defaultText = text;
    return this;
  }

  argParser(parser: Parser): this {
    this.parser = parser;
    return this;
  }

  /** Nothing else is accepted. */
  choices(allowed: readonly string[]): this {
    this.allowed = allowed;
    return this.argParser((text) => {
      if (allowed.includes(text)) return text;
      throw new InvalidArgumentError(`Allowed choices are ${allowed.join(", ")}.`);
    });
  }

  /** What a shell completes its value to. */
  suggest(suggestions: readonly string[]): this {
    this.suggestions = suggestions;
    return this;
  }

  /** Where it is given, this argument is not. */
  inPlaceOf(argument: string): this {
    this.standsFor = argument;
    return this;
  }

  /** The help lists it below another heading than `Options:`. */
  helpGroup(heading: string): this {
    this.heading = heading;
    return this;
  }

  /** The help does not tell of it. */
  hideHelp(): this {
    this.isHidden = true;
    return this;
  }

  /** Without it the command is refused. */
  makeOptionMandatory(): this {
    this.isMandatory = true;
    return this;
  }
}

/** An argument. */
export class Argument {
  readonly name: string;
  readonly required: boolean;
  /** Whether it takes all that is left. */
  readonly variadic: boolean;
  readonly description: string;
  readonly parser: Parser | undefined;

  /** @param usage `<name>`, `[name]`, `<name...>` or `[name...]` */
  constructor(usage: string, description = "", parser?: Parser) {
    this.required = usage.startsWith("<");
    const name = usage.slice(1, -1);
    this.variadic = name.endsWith("...");
    this.name = name.replace(/\.\.\.$/, "");
    this.description = description;
    this.parser = parser;
  }

  /** As in the usage. */
  get term(): string {
    const name = this.variadic ? `${this.name}...` : this.name;
    return this.required ? `<${name}>` : `[${name}]`;
  }
}
