/**
 * The log of Xen's helpers for scripts: who uses them has what it prints to the standard error go
 * there, and not to whoever runs it (`exec 2>>`, tools/hotplug/Linux/xen-hotplug-common.sh.in).
 */
import type { LogTails } from "../../platform/io/log_tail.ts";
import { type Log, oneLine } from "../log/log.ts";
import type { Clock, Files, Processes } from "../../platform/types.ts";
import { NotStarted, runScript, ScriptFailed, type ScriptRun } from "./run_script.ts";

/** XEN_LOG_DIR of Debian and all others that keep the default. */
const HELPER_LOG = "/var/log/xen/xen-hotplug.log";

/** Lines that tell nothing of the script: `logger` without anybody who takes what it is given. */
const NOISE = /^logger: /;

/** What one run of a script has added. */
interface HelperLogEntry {
  /** The last line; null when there is none. */
  readonly line: string | null;
  /** Whether no other script ran meanwhile: else the line may be another guest's. */
  readonly own: boolean;
}

/** Tells which lines are whose, as far as that can be told: they do not say. */
export class HelperLog {
  readonly path: string;
  readonly #tails: LogTails;
  #running = 0;
  #started = 0;

  constructor(tails: LogTails, path: string = HELPER_LOG) {
    this.#tails = tails;
    this.path = path;
  }

  /** Runs `work`, which gets what tells of the lines that were added since it began. */
  async during<T>(work: (added: () => Promise<HelperLogEntry>) => Promise<T>): Promise<T> {
    const mark = this.#tails.mark(this.path);
    const alone = this.#running === 0;
    const number = ++this.#started;
    this.#running++;
    try {
      return await work(async () => {
        const text = await this.#tails.since(this.path, mark);
        const lines = text?.split("\n").map((line) => line.trim()) ?? [];
        const line = lines.findLast((line) => line !== "" && !NOISE.test(line)) ?? null;
        return { line, own: alone && this.#started === number };
      });
    } finally {
      this.#running--;
    }
  }
}

/** Longest part of what a script said that is passed on, in characters: the guest reads it too. */
const WORDS_MAX = 300;

/** How much of a script is looked through for what it uses, in bytes. */
const LOOKED_INTO_MAX = 64 * 1024;

/** What Xen's helpers are called, as far as they bring the log with them. */
const HELPERS = /\b(xen-hotplug|block|vif)-common\.sh\b/;

/**
 * Words that say that something failed, and not why: those of the helpers' trap (`… failed; error
 * detected.`), and of a command that has told the reason elsewhere.
 */
const WEAK = /\bfailed(; error detected)?\.?$/;

/** Whether what a script left in `hotplug-error` names no cause. */
export function isWeak(words: string): boolean {
  return WEAK.test(words.trim());
}

/** What is needed. */
interface LastWordsParts {
  readonly processes: Processes;
  readonly clock: Clock;
  readonly files: Files;
  /** Without it, it is not looked at. */
  readonly helperLog?: HelperLog;
}

/**
 * Runs a script.
 * @param words reads what the script has written of its failure; undefined: nothing
 * @throws ScriptFailed with how it ended, and the cause as far as it is known
 */
export async function runWithLastWords(
  parts: LastWordsParts,
  run: ScriptRun,
  log: Log,
  words: () => Promise<string | undefined>,
): Promise<void> {
  const { processes, clock, helperLog } = parts;
  if (helperLog === undefined) {
    return await runScript(processes, clock, run).catch(async (error) => {
      throw await explained(error, words, (said) => said);
    });
  }
  await helperLog.during(async (added) => {
    try {
      await runScript(processes, clock, run);
    } catch (error) {
      throw await explained(error, words, async (said) => {
        const usesHelpers = await mentionsHelpers(parts.files, run.argv[0]);
        const { line, own } = await added();
        if (line !== null && !own) {
          log.info(`added to ${helperLog.path} while it ran, and others too: ${line}`);
        }
        const logged = own ? line : null;
        if (!usesHelpers) return said ?? logged;
        return logged ?? said ?? `see ${helperLog.path}`;
      });
    }
  });
}

/** @param lastLine the last line that tells of it, given the last one that it printed */
async function explained(
  error: unknown,
  words: () => Promise<string | undefined>,
  lastLine: (said: string | null) => Promise<string | null> | string | null,
): Promise<unknown> {
  // One that was not started has said nothing.
  if (!(error instanceof ScriptFailed) || error instanceof NotStarted) return error;
  const own = await words().catch(() => undefined);
  const parts = own ? [oneLine(own, WORDS_MAX)] : [];
  // Of one that was told to stop nobody asks why.
  if (!error.wasStopped && (!own || isWeak(own))) {
    const line = await lastLine(error.said);
    if (line !== null && line !== own) parts.push(oneLine(line, WORDS_MAX));
  }
  return parts.length === 0 ? error : new ScriptFailed([error.message, ...parts].join(": "));
}

async function mentionsHelpers(files: Files, program: string): Promise<boolean> {
  try {
    const bytes = await files.readAt(program, 0, LOOKED_INTO_MAX);
    return HELPERS.test(new TextDecoder("latin1").decode(bytes));
  } catch {
    return false;
  }
}
