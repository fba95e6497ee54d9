/** `node:process`, as far as the command line's library uses it. */
import { printTo } from "../../io/output.ts";
import { program } from "../../runtime.ts";
import { takesColour, terminalWidth } from "../../io/terminal.ts";

function stream(fd: 1 | 2) {
  return {
    write: (text: string) => printTo(fd, text),
    get isTTY() {
      return terminalWidth(fd) !== undefined;
    },
    get columns() {
      return terminalWidth(fd);
    },
    hasColors: () => takesColour(fd),
  };
}

const standIn = {
  argv: [program.command[0], "main", ...program.args],
  execArgv: [],
  env: program.environment,
  platform: "linux",
  versions: {},
  stdout: stream(1),
  stderr: stream(2),
  exitCode: undefined,
  exit: (code = 0) => program.exit(code),
  on() {},
};

export default standIn;
