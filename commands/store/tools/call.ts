/**
 * What a tool is asked to do: the command lines of xenstore-utils 4.17
 * (tools/xenstore/xenstore_client.c). Pure.
 */
import { own } from "../../../contract/v1/own.ts";
import { getopt, type LongOption } from "./getopt.ts";
import { type Mode, MODES, shortName } from "./tool_called.ts";
import { atoi } from "./values.ts";

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
export interface Decoded {
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
