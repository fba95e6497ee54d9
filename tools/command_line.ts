/** The command lines of the programs that build and try this project: one line for what is wrong. */
import { parseArgs, type ParseArgsConfig } from "node:util";

/**
 * Reads the command line; `--help` and what is wrong end the program, with status 0 and 2.
 * @param name what the program is called in its messages
 * @param help what `--help` prints
 * @param config without `help`
 */
export function commandLine<T extends ParseArgsConfig>(
  name: string,
  help: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  if (process.argv.slice(2).includes("--help")) {
    process.stdout.write(help);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    // Its first sentence; the rest is about parseArgs.
    return refuse(name, (error as Error).message.split(". ")[0]!);
  }
}

/** A whole number from the command line; ends the program with status 2 if it is none. */
export function wholeNumber(
  name: string,
  option: string,
  text: string,
  { least, most } = { least: 0, most: 999_999_999 },
): number {
  const value = Number(text);
  if (/^\d{1,9}$/.test(text) && value >= least && value <= most) return value;
  return refuse(name, `${option} ${text}: expected a number from ${least} to ${most}`);
}

/** Ends the program with status 2, and one line that says why. */
export function refuse(name: string, why: string): never {
  console.error(`${name}: ${why} (--help tells more)`);
  process.exit(2);
}
