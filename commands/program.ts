/** The command line. Commands load their code when they are used. */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { BuiltIn } from "../core/daemon/plugin/host.ts";
import { DOMID_MAX, parseDomid } from "../core/xen/device_id.ts";
import { DEFAULT_PATH } from "../core/hotplug/run_script.ts";
import { DEFAULT_SCRIPT_DIRECTORY } from "../core/hotplug/path_rules.ts";
import { type TimeName, TIMES } from "../core/xen/times.ts";
import { LOG_LEVELS, printable } from "../core/log/log.ts";
import { absoluteFile, OutputClosed, printTo } from "../platform/self.ts";
import { terminalWidth } from "../platform/io/terminal.ts";
import { VERSION } from "../core/version.ts";
import { seconds } from "./arguments.ts";
import { addDevices } from "./device/program.ts";
import type { DevdOptions } from "./devd/devd.ts";
import { ExitCode, lineOf, problemOf } from "../core/messages/error.ts";
import type { XenstoredOptions } from "./xenstored/xenstored.ts";
import { addHotplug } from "./hotplug/program.ts";
import { errorPrefix, LOG_FORMATS } from "./devd/log_output.ts";
import { addInstall } from "./install/program.ts";
import { DIAGRAM_FORMATS, type DiagramFormat } from "./lifecycle/formats.ts";
import { addRequests } from "./request/program.ts";
import {
  addPlugin,
  configOption,
  kindOption,
  pluginOption,
  pluginsOption,
} from "./plugin/program.ts";
import type { StoreAction } from "./store/store.ts";

/** Width of help where there is no terminal that tells its own. */
const DEFAULT_COLUMNS = 80;

/** Log file of the daemon; the stock daemon's, so that log rotation finds it. */
const DEFAULT_LOG = "/var/log/xen/xldevd.log";

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
  let status: number = ExitCode.Success;
  const program = makeProgram(builtIns, args, (code) => status = code);
  try {
    await program.parseAsync([...args], { from: "user" });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? ExitCode.Success : ExitCode.Usage;
    }
    if (error instanceof OutputClosed) return OutputClosed.status;
    const problem = problemOf(error);
    const prefix = errorPrefix();
    printTo(2, `${prefix}xdevd: ${printable(lineOf(problem))}\n`);
    for (const line of problem.details) printTo(2, `${prefix}  ${printable(line)}\n`);
    return problem.status;
  }
}

function makeProgram(
  builtIns: readonly BuiltIn[],
  args: readonly string[],
  finish: (status: number) => void,
): Command {
  const program = new Command("xdevd")
    .description("The device daemon for Xen driver domains")
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError("(--help tells more)")
    .addHelpText(
      "after",
      "\nCalled as xenstore-read, xenstore-ls, …, or with that as COMMAND, it is that tool.",
    )
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error:/, "xdevd:")),
      // The library's own load the runtime's terminals and streams, which takes longer than all else.
      writeOut: (text) => printTo(1, text),
      writeErr: (text) => printTo(2, text),
      getOutHelpWidth: () => terminalWidth(1) || DEFAULT_COLUMNS,
      getErrHelpWidth: () => terminalWidth(2) || DEFAULT_COLUMNS,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  addDevd(program, builtIns, args, finish);
  addDevices(program, storeOption, builtIns, finish);
  addRequests(program, storeOption, builtIns, finish);
  addHotplug(program, storeOption, finish);
  addStore(program, finish);
  addXenstored(program, finish);
  addDemo(program, finish);
  addLifecycle(program);
  addPlugin(program, builtIns, finish);
  addInstall(program, finish);
  return program;
}

function storeOption(): Option {
  return new Option("--store <path>", "socket or device of the store (default: as libxenstore)")
    .argParser(absoluteFile);
}

function addDevd(
  program: Command,
  builtIns: readonly BuiltIn[],
  args: readonly string[],
  finish: (status: number) => void,
): void {
  program.command("devd")
    .description("serve the devices of this driver domain (in place of `xl devd`)")
    .option("-F, --foreground", "stay in the foreground and log to the standard error")
    .addOption(
      new Option("-p, --pidfile <file>", "write the process id here").argParser(absoluteFile),
    )
    .addOption(storeOption())
    .option("--scripts <dir>", `where hotplug scripts may be; may be repeated`, collectDirectory, [
      DEFAULT_SCRIPT_DIRECTORY,
    ])
    .option("--script-path <path>", "the PATH that scripts get", DEFAULT_PATH)
    .option("--script-timeout <s>", "the same as --time hotplug=S", seconds)
    .addOption(
      new Option("--log <file>", "log file when in the background").default(DEFAULT_LOG)
        .argParser(absoluteFile),
    )
    .addOption(
      new Option("--log-level <level>", "how much is logged").choices(LOG_LEVELS).default("info"),
    )
    .addOption(
      new Option("--log-format <format>", "lines for people, or an object each").choices(
        LOG_FORMATS,
      )
        .default("text"),
    )
    .addOption(
      new Option("--run-dir <dir>", "where the lock and the journal are").default("/run/xdevd")
        .argParser(absoluteFile),
    )
    .option("--allow-dom0", "serve domain 0 too")
    .option("--no-requests", "take no requests of toolstacks (docs/request-protocol.md)")
    .option("--drain", "close all devices when told to stop, so that guests notice")
    .addOption(
      new Option("--time <name=s>", "set a time, in seconds; may be repeated")
        .argParser(collectTime).default({}, "see docs/lifecycle.md"),
    )
    .addOption(pluginsOption())
    .addOption(pluginOption())
    .addOption(kindOption())
    .addOption(configOption())
    .addOption(new Option("--detached").hideHelp())
    .action(async ({ time, ...options }: DevdOptions & { time: DevdOptions["times"] }) => {
      const { devd } = await import("./devd/devd.ts");
      finish(await devd({ ...options, times: time }, builtIns, args));
    });
}

function addStore(program: Command, finish: (status: number) => void): void {
  const store = program.command("store").description("look at and change the store");
  const sub = (usage: string, description: string) =>
    store.command(usage).description(description).addOption(storeOption());
  const act = async (
    options: { store?: string },
    choose: (actions: typeof import("./store/store.ts")) => StoreAction,
  ) => {
    const actions = await import("./store/store.ts");
    finish(await actions.withStore(options.store, choose(actions)));
  };
  sub("read <path...>", "print the values of nodes")
    .action((paths: string[], options) => act(options, (a) => a.readNodes(paths)));
  sub("write <path-value...>", "write nodes, all or nothing: PATH VALUE …")
    .action((pairs: string[], options) => act(options, (a) => a.writeNodes(pairs)));
  sub("list <path>", "print the names of a node's children")
    .action((path: string, options) => act(options, (a) => a.listNode(path)));
  sub("ls [path]", "print everything below a node")
    .option("-p, --permissions", "with permissions")
    .action((path: string | undefined, options: { store?: string; permissions?: boolean }) =>
      act(options, (a) => a.listTree(path ?? "/", options.permissions ?? false))
    );
  sub("rm <path...>", "remove nodes with all below them")
    .action((paths: string[], options) => act(options, (a) => a.removeNodes(paths)));
  sub("exists <path...>", "exit with 0 if the nodes exist, else with 1")
    .action((paths: string[], options) => act(options, (a) => a.nodesExist(paths)));
  sub("chmod <path> <permission...>", "set permissions, the owner first: PATH n1 r7 …")
    .action((path: string, permissions: string[], options) =>
      act(options, (a) => a.setPermissions(path, permissions))
    );
  sub("introduce", "tell a test store of a new domain")
    .argument("<domid>", "the domain", domid)
    .action((id: number, options) => act(options, (a) => a.introduceDomain(id)));
  sub("release", "make the store forget a domain, as if it had died")
    .argument("<domid>", "the domain", domid)
    .action((id: number, options) => act(options, (a) => a.releaseDomain(id)));
  sub("selftest", "check that this store behaves as xdevd expects")
    .action(async (options: { store?: string }) => {
      const { selftest } = await import("./store/selftest.ts");
      finish(await selftest(options.store));
    });
  sub("watch <path>", "print each change at or below a node")
    .option("-n, --count <n>", "end after so many", positive)
    .action((path: string, options: { store?: string; count?: number }) =>
      act(options, (a) => a.watchNode(path, options.count))
    );
}

function addXenstored(program: Command, finish: (status: number) => void): void {
  program.command("xenstored")
    .description("a xenstore server for tests and development")
    .addOption(
      new Option("--dir <dir>", "where its sockets are made").default("/run/xenstored")
        .argParser(absoluteFile),
    )
    .option("--domain <domid>", "a domain that exists; may be repeated", collectDomid, [])
    .action(async (options: XenstoredOptions) => {
      const { xenstored } = await import("./xenstored/xenstored.ts");
      finish(await xenstored(options));
    });
}

function addDemo(program: Command, finish: (status: number) => void): void {
  program.command("demo")
    .description("a disk for a guest, from attach to detach, on a simulated machine")
    .option("--real", "on Debian's xenstored and block script (root, from the source tree)")
    .action(async (options: { real?: boolean }) => {
      const { demo } = await import("../simulation/demo/demo.ts");
      finish(await demo(options));
    });
}

function addLifecycle(program: Command): void {
  program.command("lifecycle")
    .description("print the diagram of a device's life, from the table that drives it")
    .addOption(
      new Option("--format <format>", "what it is printed as").choices(DIAGRAM_FORMATS)
        .default("mermaid"),
    )
    .action(async ({ format }: { format: DiagramFormat }) => {
      const { printLifecycle } = await import("./lifecycle/lifecycle.ts");
      await printLifecycle(format);
    });
}

/** A domid other than 0. */
function domid(text: string): number {
  const value = parseDomid(text);
  if (value === undefined || value === 0) {
    throw new InvalidArgumentError(`Expected a domid, 1 to ${DOMID_MAX}.`);
  }
  return value;
}

function collectDomid(text: string, previous: number[]): number[] {
  return [...previous, domid(text)];
}

let collected = false;

/** The first directory given replaces the default, further ones are added. */
function collectDirectory(value: string, previous: string[]): string[] {
  const before = collected ? previous : [];
  collected = true;
  return [...before, absoluteFile(value)];
}

/** `NAME=SECONDS`. */
function collectTime(text: string, previous: Record<string, number>): Record<string, number> {
  const [, name = "", value = ""] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  const constant = Object.hasOwn(TIMES, name) ? TIMES[name as TimeName] : undefined;
  if (constant === undefined) {
    throw new InvalidArgumentError(
      `Expected NAME=SECONDS, NAME one of ${Object.keys(TIMES).join(", ")}.`,
    );
  }
  const ms = Number(value) * 1000;
  if (!/^\d+(\.\d+)?$/.test(value) || ms < constant.min || ms > constant.max) {
    throw new InvalidArgumentError(
      `Expected ${name} in seconds, ${constant.min / 1000} to ${constant.max / 1000}.`,
    );
  }
  return { ...previous, [name]: ms };
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("Expected a positive number.");
  return Number(text);
}
