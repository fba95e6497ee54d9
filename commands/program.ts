/** The command line: what is the same for all commands, which load their code when they are used. */
import { Command, LineEnded, Option, type Output } from "./line/command.ts";
import type { BuiltIn } from "../core/daemon/plugin/host.ts";
import { absoluteFile, OutputClosed, printTo } from "../platform/self.ts";
import { terminalWidth } from "../platform/io/terminal.ts";
import { VERSION } from "../core/version.ts";
import { addCommands } from "./commands.ts";

/** Width of help where there is no terminal that tells its own. */
const DEFAULT_COLUMNS = 80;

/**
 * Runs the program.
 * @param args the command line without the program's name
 * @param builtIns the backends that are compiled in
 * @returns the exit status
 */
export async function runProgram(
  args: readonly string[],
  builtIns: readonly BuiltIn[],
): Promise<number> {
  let status = 0;
  const program = makeProgram(builtIns, args, (code) => status = code, {
    print: printTo,
    width: (stream) => terminalWidth(stream) || DEFAULT_COLUMNS,
  });
  try {
    await program.parse(args);
    return status;
  } catch (error) {
    if (error instanceof OutputClosed) return OutputClosed.status;
    if (error instanceof LineEnded && error.status === 0) return 0;
    return (await import("./failure.ts")).tellFailure(error, args);
  }
}

/**
 * All commands.
 * @param args the command line without the program's name
 * @param finish takes the exit status
 * @param output where help and complaints go
 */
export function makeProgram(
  builtIns: readonly BuiltIn[],
  args: readonly string[],
  finish: (status: number) => void,
  output: Output,
): Command {
  const program = new Command("xdevd", output)
    .description("The device daemon for Xen driver domains")
    .version(VERSION)
    .example("xdevd devd -p /run/xdevd.pid", "serve this driver domain's devices")
    .example("xdevd list", "in domain 0: all devices of guests")
    .helpEnd(
      "`xdevd --version --json` also tells commit, target, runtime and plugins.\n" +
        "Called as xenstore-read, xenstore-ls, …, or with that as COMMAND, it is that tool.",
    );
  addCommands({ program, storeOption, builtIns, args, finish });
  return program;
}

function storeOption(): Option {
  return new Option("--store <path>", "socket or device of the store (default: as libxenstore)")
    .argParser(absoluteFile);
}
