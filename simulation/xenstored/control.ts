/** Commands for the daemon itself (CONTROL): those that mean something without a daemon. */
import { own } from "../../contract/v1/own.ts";
import { toBytes, toText } from "../../core/xenstore/codec.ts";
import { type Answer, type Call, DONE, strings } from "./call.ts";
import { Failure, require } from "./failure.ts";

interface Command {
  readonly usage: string;
  /** What it answers; null for a mere acknowledgement. @throws Failure EINVAL */
  run(args: readonly string[]): string | null;
}

const commands: Readonly<Record<string, Command>> = {
  // There is nothing that could be found inconsistent.
  check: { usage: "", run: (args) => expectArguments(args, 0) },
  print: { usage: "<string>", run: (args) => expectArguments(args, 1) },
  help: {
    usage: "",
    run: () =>
      Object.entries(commands).map(([name, { usage }]) => `${name}\t${usage}\n`).join("") + "\0",
  },
};

function expectArguments(args: readonly string[], count: number): null {
  require(args.length === count, "EINVAL");
  return null;
}

/** Does what a CONTROL request says. @throws Failure EINVAL for an unknown command */
export function control(call: Call): Answer {
  const [name, ...args] = strings(call).map(toText);
  const command = own(commands, name ?? "");
  if (command === undefined) throw new Failure("EINVAL");
  const text = command.run(args);
  return text === null ? DONE : { payload: toBytes(text) };
}
