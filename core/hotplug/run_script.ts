/** Running one hotplug script, with limits. */
import { TIMES } from "../xen/times.ts";
import type { Clock, Processes } from "../../platform/types.ts";

/** A script did not succeed; the message says how, in words fit for `hotplug-error`. */
export class ScriptFailed extends Error {
  override name = "ScriptFailed";
  /** The last line that it printed; null: none. */
  readonly said: string | null;
  /** Whether it was told to stop, since nobody wanted what it did any more. */
  readonly wasStopped: boolean;

  constructor(message: string, said: string | null = null, wasStopped = false) {
    super(message);
    this.said = said;
    this.wasStopped = wasStopped;
  }
}

/** It failed before there was a process. */
export class NotStarted extends ScriptFailed {
  override name = "NotStarted";
}

/** Limits of a script. */
export interface ScriptLimits {
  /** How long one pass may take, in ms (LIBXL_HOTPLUG_TIMEOUT: 40 s, libxl_internal.h). */
  readonly timeoutMs: number;
  /** How long the process group has between TERM and KILL, in ms. */
  readonly killGraceMs: number;
}

/** The defaults. */
export const DEFAULT_LIMITS: ScriptLimits = {
  timeoutMs: TIMES.hotplug.ms,
  killGraceMs: TIMES.killGrace.ms,
};

/** What PATH a script gets: nothing of the daemon's environment reaches it. */
export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Shells exit with this, and the signal's number, when what they waited for was killed. */
const KILLED_FROM = 128;

/** One run. */
export interface ScriptRun {
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
    throw new NotStarted(`${name}: cannot be started: ${why}`);
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
    );
  }
  if (signal !== null) throw new ScriptFailed(`${name}: was killed by ${signal}`, said);
  if (code !== 0) throw new ScriptFailed(`${name}: exited with status ${code}`, said);
}

function reason(signal: AbortSignal): string {
  return signal.reason instanceof Error ? signal.reason.message : String(signal.reason);
}
