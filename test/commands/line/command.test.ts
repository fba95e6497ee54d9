/** Our command line, held to a library's: what is printed, and what an action gets. */
import { expect, test } from "bun:test";
import * as commander from "commander";
import * as fc from "fast-check";
import {
  Command,
  InvalidArgumentError,
  LineEnded,
  Option,
} from "../../../commands/line/command.ts";

/** What came of a command line. */
interface Outcome {
  out: string;
  err: string;
  status: number;
  /** The command that ran, and what it got. */
  ran: unknown[];
}

/** The commands of both, made with the classes of either. */
// deno-lint-ignore no-explicit-any
function define(program: any, make: any, refuse: (text: string) => Error, ran: unknown[]): void {
  const action = (name: string, count: number) => (...all: unknown[]) => {
    ran.push(name, ...all.slice(0, count + 1));
  };
  const seconds = (text: string) => {
    if (!/^\d+$/.test(text)) throw refuse("Expected seconds.");
    return Number(text);
  };
  const collect = (text: string, before: string[] = []) => [...before, text];
  program.commandsGroup("Serving:");
  program.command("serve").description(
    "serve the devices of this driver domain, and do so for ever",
  )
    .option("-F, --foreground", "stay")
    .addOption(new make.Option("-p, --pidfile <name>", "where the process id goes"))
    .option(
      "--time <s>",
      "how long it may take, in seconds, which is said at length here",
      seconds,
      60,
    )
    .addOption(
      new make.Option("--level <level>", "how much").choices(["info", "debug"]).default("info"),
    )
    .addOption(new make.Option("--map <a=b>", "a map").argParser(collect).default([], "none"))
    .option("--no-requests", "take none")
    .addOption(new make.Option("--secret").hideHelp())
    .action(action("serve", 0));
  program.command("attach <device> <domain> [spec...]").description("give a guest a device")
    .option("--dir <name>", "may be repeated", collect)
    .action(action("attach", 3));
  program.commandsGroup("The store:");
  const store = program.command("store").description("look at the store");
  store.command("read <path...>").description("print values").action(action("read", 1));
  store.command("ls [path]").description("print all").option("-p, --permissions", "with those")
    .addOption(new make.Option("--deep <n>", "how deep").helpGroup("For experts:"))
    .action(action("ls", 1));
  store.command("introduce").description("tell of a domain")
    .argument("<domid>", "the domain", seconds).action(action("introduce", 1));
  program.command("hidden <x>", { hidden: true }).action(action("hidden", 1));
  program.command("install").description("lay it out")
    .requiredOption("--root <name>", "where", (text: string) => `/${text}`).action(
      action("install", 0),
    );
}

const WIDTH = 70;

async function ours(args: readonly string[]): Promise<Outcome> {
  const outcome: Outcome = { out: "", err: "", status: 0, ran: [] };
  const program = new Command("xdevd", {
    print: (stream, text) => outcome[stream === 1 ? "out" : "err"] += text,
    width: () => WIDTH,
  }).description("What it is").version("1.2.3");
  define(program, { Option }, (text) => new InvalidArgumentError(text), outcome.ran);
  try {
    await program.parse(args);
  } catch (error) {
    if (!(error instanceof LineEnded)) throw error;
    outcome.status = error.status;
  }
  return outcome;
}

function argumentTerm(argument: commander.Argument): string {
  const name = argument.variadic ? `${argument.name()}...` : argument.name();
  return argument.required ? `<${name}>` : `[${name}]`;
}

async function theirs(args: readonly string[]): Promise<Outcome> {
  const outcome: Outcome = { out: "", err: "", status: 0, ran: [] };
  const program = new commander.Command("xdevd").description("What it is").version("1.2.3")
    .configureHelp({
      // Ours does not say of each command that it has options: all have.
      subcommandTerm: (command) =>
        [command.name(), ...command.registeredArguments.map(argumentTerm)].join(" "),
    })
    .exitOverride().showHelpAfterError("(--help tells more)").configureOutput({
      outputError: (text, write) =>
        write(text.replace(/^error:/, "xdevd:").replace(/^xdevd: command-argument /, "xdevd: ")),
      writeOut: (text) => outcome.out += text,
      writeErr: (text) => outcome.err += text,
      getOutHelpWidth: () => WIDTH,
      getErrHelpWidth: () => WIDTH,
    });
  define(program, commander, (text) => new commander.InvalidArgumentError(text), outcome.ran);
  program.helpCommand(true);
  try {
    await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof commander.CommanderError)) throw error;
    outcome.status = error.exitCode;
  }
  return outcome;
}

const word = fc.constantFrom(
  ...["serve", "attach", "store", "read", "ls", "introduce", "hidden", "install", "help", "stor"],
  ...[
    "-F",
    "-p",
    "--pidfile",
    "--pidfile=x",
    "-pfile",
    "-Fp",
    "--time",
    "--time=5",
    "--time=x",
    "--tim",
  ],
  ...[
    "--level",
    "info",
    "--level=loud",
    "--map",
    "--map=a",
    "--no-requests",
    "--requests",
    "--secret",
  ],
  ...[
    "--dir",
    "--dir=",
    "-P",
    "-x",
    "--",
    "-",
    "-5",
    "7",
    "x",
    "",
    "--help",
    "-h",
    "--version",
    "-V",
  ],
  ...["--root", "--root=r", "--permissions", "--foreground=1", "--frob", "--versoin"],
);

test("any command line comes to the same", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 6 }), async (args) => {
      const [own, peer] = [await ours(args), await theirs(args)];
      // Of help for what is no command, or for help, the library prints its usage as an error.
      const isHelp = /^xdevd: unknown command/.test(own.err) || /^Usage: /.test(own.out);
      if (args.includes("help") && isHelp && /^Usage: /.test(peer.err)) return;
      expect(own).toEqual(peer);
    }),
    { numRuns: 4000 },
  );
});

test("an argument that its parser refuses: rare among those above", async () => {
  const args = ["store", "introduce", "serve"];
  const refused = await ours(args);
  expect(refused.err).toContain("value 'serve' is invalid for argument 'domid'. Expected seconds.");
  expect(refused).toEqual(await theirs(args));
});

const commands = [
  "serve",
  "attach",
  "store",
  "install",
  "hidden",
  "store read",
  "store ls",
  "store introduce",
];

test.each(commands.flatMap((name) =>
  [["--help"], ["7"], ["--frob"], ["a", "b", "c", "d"], []]
    .map((args) => [[...name.split(" "), ...args]])
))("%p", async (args) => {
  expect(await ours(args)).toEqual(await theirs(args));
});
