/** The command line of `xdevd xenstored`. */
import { type Command, Option } from "../line/command.ts";
import { absoluteFile } from "../../platform/self.ts";
import { domid } from "../arguments.ts";
import type { XenstoredOptions } from "./xenstored.ts";

/** Adds it. */
export function addXenstored(program: Command, finish: (status: number) => void): void {
  program.command("xenstored")
    .description("a xenstore server for tests and development")
    .example(
      "xdevd xenstored --dir /tmp/store --domain 1 --domain 7",
      "with domains 1 and 7; /tmp/store/socket is domain 0's",
    )
    .example("xdevd xenstored --dir /tmp/store", "`xdevd store introduce` adds domains later")
    .addOption(
      new Option("--dir <dir>", "where its sockets are made").default("/run/xenstored")
        .argParser(absoluteFile),
    )
    .option("--domain <domid>", "a domain that exists; may be repeated", collectDomid, [])
    .action(async (options: XenstoredOptions) => {
      const { xenstored } = await import("./xenstored.ts");
      finish(await xenstored(options));
    });
}

function collectDomid(text: string, previous: number[]): number[] {
  return [...previous, domid(text)];
}
