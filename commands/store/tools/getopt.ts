/** GNU getopt_long(3), as far as the xenstore tools use it. Pure. */

/** A long option. */
export interface LongOption {
  readonly name: string;
  /** The short option that it stands for. */
  readonly short: string;
  readonly takesValue: boolean;
}

/** One thing found on the command line, in order. */
export type Found =
  | { readonly kind: "option"; readonly short: string; readonly value: string | undefined }
  /** An option that is none: a line for the standard error, without the program's name. */
  | { readonly kind: "fault"; readonly message: string };

/** A command line taken apart. */
export interface Parsed {
  readonly found: readonly Found[];
  /** What is no option, in order. */
  readonly operands: readonly string[];
}

/**
 * Takes a command line apart. Options and operands may be mixed, a long option's name may be cut
 * short, `--` ends the options.
 * @param args without the program's name
 * @param shorts the short options, one letter each; those with a value are followed by a colon
 * @param posix options end at the first operand (POSIXLY_CORRECT)
 */
export function getopt(
  args: readonly string[],
  shorts: string,
  longs: readonly LongOption[],
  posix = false,
): Parsed {
  const found: Found[] = [];
  const operands: string[] = [];
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") {
      operands.push(...rest);
      break;
    }
    if (arg.startsWith("--")) found.push(longOption(arg, rest, longs));
    else if (arg.startsWith("-") && arg !== "-") found.push(...shortOptions(arg, rest, shorts));
    else {
      operands.push(arg);
      if (!posix) continue;
      operands.push(...rest);
      break;
    }
  }
  return { found, operands };
}

function* shortOptions(arg: string, rest: string[], shorts: string): Generator<Found> {
  for (let at = 1; at < arg.length; at++) {
    const short = arg[at]!;
    const index = short === ":" ? -1 : shorts.indexOf(short);
    if (index < 0) {
      yield fault(`invalid option -- '${short}'`);
      continue;
    }
    if (shorts[index + 1] !== ":") {
      yield { kind: "option", short, value: undefined };
      continue;
    }
    const value = at + 1 < arg.length ? arg.slice(at + 1) : rest.shift();
    yield value === undefined
      ? fault(`option requires an argument -- '${short}'`)
      : { kind: "option", short, value };
    return;
  }
}

function longOption(arg: string, rest: string[], longs: readonly LongOption[]): Found {
  const equals = arg.indexOf("=");
  const name = arg.slice(2, equals < 0 ? undefined : equals);
  const given = equals < 0 ? undefined : arg.slice(equals + 1);
  const exact = longs.filter((long) => long.name === name);
  const candidates = exact.length > 0 ? exact : longs.filter((long) => long.name.startsWith(name));
  const [option] = candidates;
  if (option === undefined) return fault(`unrecognized option '${arg}'`);
  if (candidates.length > 1) {
    const names = candidates.map((candidate) => ` '--${candidate.name}'`).join("");
    return fault(`option '${arg}' is ambiguous; possibilities:${names}`);
  }
  if (!option.takesValue) {
    return given === undefined
      ? { kind: "option", short: option.short, value: undefined }
      : fault(`option '--${option.name}' doesn't allow an argument`);
  }
  const value = given ?? rest.shift();
  return value === undefined
    ? fault(`option '--${option.name}' requires an argument`)
    : { kind: "option", short: option.short, value };
}

function fault(message: string): Found {
  return { kind: "fault", message };
}
