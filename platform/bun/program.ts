/** This program, as Bun knows it. */
import { readFile } from "../io/file_calls.ts";
import { NO_THREADS } from "./no_threads.ts";
import type { Program } from "../program.ts";
import { systemError } from "../system_error.ts";

const isCompiled = Bun.main.startsWith("/$bunfs/");

/** A storage helper's main module, where there is no binary. */
const HELPER = new URL("../storage/main.ts", import.meta.url).pathname;

/** Settings of the engine for one, which does little. */
const HELPER_SETTINGS = {
  BUN_JSC_thresholdForJITAfterWarmUp: "200000",
  BUN_JSC_thresholdForJITSoon: "200000",
  BUN_GC_TIMER_DISABLE: "1",
  ...NO_THREADS,
};

/**
 * How long one is kept that has nothing to do, in ms: here it takes as much memory as half a daemon, and a
 * twentieth of a second to start.
 */
const HELPER_KEEP_MS = 90_000;

/** What stands in the runtime's own list of arguments for what is no UTF-8. */
const REPLACEMENT = "\ufffd";

/** A character a byte. */
function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

/** See {@link Program}. */
export const program: Program = {
  command: isCompiled ? [process.execPath] : [process.execPath, Bun.main],
  binary: isCompiled ? process.execPath : null,
  storageHelper: {
    argv: isCompiled ? [process.execPath, "storage-helper"] : [process.execPath, HELPER],
    env: HELPER_SETTINGS,
    keepMs: HELPER_KEEP_MS,
  },
  calledAs: process.argv0,
  args: process.argv.slice(2),

  argumentBytes() {
    const decoded = process.argv.slice(2);
    const asGiven = () => decoded.map((text) => latin1(new TextEncoder().encode(text)));
    if (!decoded.some((text) => text.includes(REPLACEMENT))) return asGiven();
    try {
      const all = latin1(readFile("/proc/self/cmdline")).split("\0");
      return all.slice(0, -1).slice(-decoded.length);
    } catch {
      // Without /proc that list has to do.
      return asGiven();
    }
  },

  environment: process.env,
  runtime: { name: "bun", version: Bun.version },
  exit: (code) => process.exit(code),

  exec(file, argv, environment) {
    const set = Object.entries(environment).filter(([, value]) => value !== undefined);
    process.execve?.(file, [...argv], Object.fromEntries(set) as Record<string, string>);
    throw systemError("ENOSYS", "ENOSYS: the program could not be started again");
  },

  onUncaught(run) {
    process.on("uncaughtException", run);
    process.on("unhandledRejection", run);
  },

  onExit: (run) => void process.on("exit", run),
};
