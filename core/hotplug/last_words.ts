/** Running a script so that its failure has a cause: what it said itself, or printed last. */
import { type Log, oneLine } from "../log/log.ts";
import type { Clock, Files, Processes } from "../../platform/types.ts";
import type { HelperLog } from "./helper_log.ts";
import { NotStarted, runScript, ScriptFailed, type ScriptRun } from "./run_script.ts";

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
export interface LastWordsParts {
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
