/** Running one hotplug script, with limits, so that its failure has a cause: what it said itself, or printed last. */
import { TIMES } from "../xen/times.ts";
import type { Clock, Files, Processes } from "../../platform/types.ts";
import type { LogTails } from "../../platform/io/log_tail.ts";
import { type Log, oneLine } from "../log/log.ts";

/** A script did not succeed; the message says how, in words fit for `hotplug-error`. */
export class ScriptFailed extends Error {
  override name = "ScriptFailed";
  /** The last line that it printed; null: none. */
  readonly said: string | null;
  /** Whether it was told to stop, since nobody wanted what it did any more. */
  readonly wasStopped: boolean;
  /** Of one that did not come to its end: what it could not be started for, or ETIMEDOUT. */
  readonly code: string | undefined;

  constructor(message: string, said: string | null = null, wasStopped = false, code?: string) {
    super(message);
    this.said = said;
    this.wasStopped = wasStopped;
    this.code = code;
  }
}

/** It failed before there was a process. */
export class NotStarted extends ScriptFailed {
  override name = "NotStarted";
}

export interface ScriptLimits {
  /** How long one pass may take, in ms (LIBXL_HOTPLUG_TIMEOUT: 40 s, libxl_internal.h). */
  readonly timeoutMs: number;
  /** How long the process group has between TERM and KILL, in ms. */
  readonly killGraceMs: number;
}

export const DEFAULT_LIMITS: ScriptLimits = {
  timeoutMs: TIMES.hotplug.ms,
  killGraceMs: TIMES.killGrace.ms,
};

/** Shells exit with this, and the signal's number, when what they waited for was killed. */
const KILLED_FROM = 128;

interface ScriptRun {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly limits: ScriptLimits;
  readonly signal: AbortSignal;
  output(line: string): void;
  /** Ends what bears the mark of its operation, in whatever session that is by now. */
  endMarked?(): Promise<unknown>;
}

/**
 * Runs a script to its end. When its time is up, or the signal fires, its whole process group gets
 * TERM and, if it is still there after the grace, KILL; then all else that it has started is ended.
 * @throws ScriptFailed unless it exits with 0; NotStarted when there was no process
 */
export async function runScript(
  processes: Processes,
  clock: Clock,
  run: ScriptRun,
): Promise<void> {
  const name = [run.argv[0], ...run.argv.slice(1)].join(" ");
  if (run.signal.aborted) {
    throw new NotStarted(`${name}: not started, ${reason(run.signal)}`, null, true);
  }
  let said: string | null = null;
  const output = (line: string) => {
    // Nobody wants to read empty ones.
    if (line.trim() === "") return;
    said = line.trim();
    run.output(line);
  };
  let child;
  try {
    child = await processes.start({ argv: run.argv, env: run.env, output });
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const why = code === "ENOEXEC"
      ? "it is no program and has no #! line"
      : code === "ENOENT"
      ? "it, or the interpreter of its #! line, does not exist"
      : code === "EACCES"
      ? "it is not executable"
      : message;
    throw new NotStarted(`${name}: cannot be started: ${why}`, null, false, code);
  }
  let stopped: string | null = null;
  let cancelKill = () => {};
  const stop = (why: string) => {
    if (stopped !== null) return;
    stopped = why;
    child.signalGroup("SIGTERM");
    cancelKill = clock.after(run.limits.killGraceMs, () => child.signalGroup("SIGKILL"));
  };
  const cancelTimer = clock.after(
    run.limits.timeoutMs,
    () => stop(`did not end within ${run.limits.timeoutMs / 1000} s and was killed`),
  );
  const onAbort = () => stop(`was stopped: ${reason(run.signal)}`);
  run.signal.addEventListener("abort", onAbort, { once: true });
  // It may have fired while the process was being made.
  if (run.signal.aborted) onAbort();
  const { code, signal } = await child.exited;
  cancelTimer();
  cancelKill();
  run.signal.removeEventListener("abort", onAbort);
  if (stopped !== null) {
    // What it started must not outlive it.
    child.signalGroup("SIGKILL");
    await run.endMarked?.().catch((error) => stopped = `${stopped}; ${(error as Error).message}`);
    // An exit status of its own may be that of another failure, just before.
    const own = code !== null && code !== 0 && code < KILLED_FROM && run.signal.aborted;
    throw new ScriptFailed(
      own ? `${name}: exited with status ${code} after it was told to stop` : `${name}: ${stopped}`,
      said,
      run.signal.aborted && !own,
      own || run.signal.aborted ? undefined : "ETIMEDOUT",
    );
  }
  if (signal !== null) throw new ScriptFailed(`${name}: was killed by ${signal}`, said);
  if (code !== 0) throw new ScriptFailed(`${name}: exited with status ${code}`, said);
}

function reason(signal: AbortSignal): string {
  return signal.reason instanceof Error ? signal.reason.message : String(signal.reason);
}

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
  if (parts.length === 0) return error;
  const { said, wasStopped, code } = error;
  return new ScriptFailed([error.message, ...parts].join(": "), said, wasStopped, code);
}

async function mentionsHelpers(files: Files, program: string): Promise<boolean> {
  try {
    const bytes = await files.readAt(program, 0, LOOKED_INTO_MAX);
    return HELPERS.test(new TextDecoder("latin1").decode(bytes));
  } catch {
    return false;
  }
}
