/** The command lines of `xdevd completion` and `xdevd complete`. */
import { type Command, InvalidArgumentError } from "../line/command.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { SHELLS } from "./shells.ts";

/** Adds them. */
export function addCompletion(
  program: Command,
  builtIns: readonly BuiltIn[],
  finish: (status: number) => void,
): void {
  program.command("completion")
    .description(`print what has a shell complete commands, options, domains and devices`)
    .argument("<shell>", SHELLS.join(", "), shell)
    .example("source <(xdevd completion bash)", "for this shell")
    .example(
      "xdevd completion fish >~/.config/fish/completions/xdevd.fish",
      "for good (`xdevd install --manual` does that for all users)",
    )
    .action(async (name: (typeof SHELLS)[number]) => {
      finish((await import("./complete.ts")).printScript(name));
    });
  program.command("complete [words...]", { hidden: true })
    .option("--line <text>", "the line up to the cursor, in place of its words")
    .action(async (words: string[], { line }: { line?: string }) => {
      const { complete, wordsOfLine } = await import("./complete.ts");
      const typed = line === undefined ? words : wordsOfLine(line);
      finish(await complete(program.data, typed, builtIns));
    });
}

function shell(text: string): string {
  if ((SHELLS as readonly string[]).includes(text)) return text;
  throw new InvalidArgumentError(`Expected one of ${SHELLS.join(", ")}.`);
}
