/** GNU getopt_long(3), as far as the xenstore tools use it. Pure. */
import { own } from "../../../contract/v1/own.ts";
import { type Mode, MODES, shortName } from "./tool_called.ts";
import { atoi } from "./values.ts";

interface LongOption {
  readonly name: string;
  /** The short option that it stands for. */
  readonly short: string;
  readonly takesValue: boolean;
}

/** One thing found on the command line, in order. */
type Found =
  | { readonly kind: "option"; readonly short: string; readonly value: string | undefined }
  /** An option that is none: a line for the standard error, without the program's name. */
  | { readonly kind: "fault"; readonly message: string };

/** A command line taken apart. */
interface Parsed {
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

/** What a tool is asked to do. */
export interface Call {
  readonly mode: Mode;
  readonly operands: readonly string[];
  /** -f: whole paths (ls). */
  readonly flat: boolean;
  /** -p: with the path (read, list), with permissions (ls). */
  readonly prefix: boolean;
  /** -t: parents that become empty are removed as well (rm). */
  readonly tidy: boolean;
  /** -u: parents as well (chmod). */
  readonly upto: boolean;
  /** -r: everything below as well (chmod). */
  readonly recurse: boolean;
  /** -R: values as they are (read, write). */
  readonly raw: boolean;
  /** -n: events to wait for; -1: no limit (watch). */
  readonly number: number;
}

/** The result: what to do, or that the tool ends at once with status 1; and what it says first. */
interface Decoded {
  readonly call: Call | null;
  /** Lines for the standard error. */
  readonly says: readonly string[];
}

const SHORT_OPTIONS = "hfspturn:R";

const LONG_OPTIONS: readonly LongOption[] = [
  { name: "help", short: "h", takesValue: false },
  { name: "flat", short: "f", takesValue: false },
  { name: "prefix", short: "p", takesValue: false },
  { name: "tidy", short: "t", takesValue: false },
  { name: "upto", short: "u", takesValue: false },
  { name: "recurse", short: "r", takesValue: false },
  { name: "number", short: "n", takesValue: true },
  { name: "raw", short: "R", takesValue: false },
];

/** Which tools an option is for; -s, once "by the socket", is accepted everywhere and means nothing. */
const OPTION_MODES: Readonly<Record<string, readonly Mode[]>> = {
  f: ["ls"],
  p: ["read", "list", "ls"],
  t: ["rm"],
  u: ["chmod"],
  r: ["chmod"],
  n: ["watch"],
  R: ["read", "write"],
  s: MODES,
};

const USAGES: Readonly<Record<Mode, string>> = {
  read: "[-h] [-p] [-s] [-R] key [...]",
  write: "[-h] [-s] [-R] key value [...]",
  rm: "[-h] [-s] [-t] key [...]",
  exists: "[-h] [-p] [-s] key [...]",
  list: "[-h] [-p] [-s] key [...]",
  ls: "[-h] [-f] [-p] [-s] [path]",
  chmod: "[-h] [-u] [-r] [-s] key <mode [modes...]>",
  watch: "[-h] [-n NR] key",
};

/**
 * Reads a tool's command line.
 * @param name as the program's argv[0]
 * @param args the tool's own arguments
 * @param posix whether POSIXLY_CORRECT is set
 */
export function decodeCall(name: string, args: readonly string[], posix: boolean): Decoded {
  const short = shortName(name);
  const says: string[] = [];
  const stop = (message: string): Decoded => ({
    call: null,
    says: [...says, `${short}: ${message}\n`],
  });
  const separate = short === "xenstore";
  if (separate && args.length === 0) return stop(`Usage: ${name} <mode> [-h] [...]`);
  const word = separate ? args[0]! : short.slice("xenstore-".length);
  const mode = MODES.find((candidate) => candidate === word);
  // The empty line is the original's.
  if (mode === undefined) return stop(`unknown mode ${word}\n`);
  const usage = () => stop(`Usage: ${name} ${separate ? `${mode} ` : ""}${USAGES[mode]}`);

  const options = separate ? args.slice(1) : args;
  const { found, operands } = getopt(options, SHORT_OPTIONS, LONG_OPTIONS, posix);
  const set = new Set<string>();
  let number = -1;
  for (const entry of found) {
    if (entry.kind === "fault") {
      says.push(`${separate ? word : name}: ${entry.message}\n`);
      continue;
    }
    if (!own(OPTION_MODES, entry.short)?.includes(mode)) return usage();
    set.add(entry.short);
    if (entry.value !== undefined) number = atoi(entry.value);
  }
  const count = operands.length;
  if (mode === "write" && count % 2 === 1 || mode !== "ls" && count === 0) return usage();
  return {
    says,
    call: {
      mode,
      operands,
      flat: set.has("f"),
      prefix: set.has("p"),
      tidy: set.has("t"),
      upto: set.has("u"),
      recurse: set.has("r"),
      raw: set.has("R"),
      number,
    },
  };
}
