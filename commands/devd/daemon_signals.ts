/** What the daemon does when it is sent a signal: docs/cli.md has the table. */
import { openLog } from "../../core/log/log.ts";
import { ignoreUnnamedSignals } from "../../platform/linux/unnamed_signals.ts";
import { onSignals } from "../../platform/self.ts";

/** Signals that end a program which does not take them, and mean nothing to the daemon. */
const MEANINGLESS = [
  "SIGQUIT",
  "SIGUSR2",
  "SIGALRM",
  "SIGVTALRM",
  "SIGPROF",
  "SIGIO",
  "SIGXCPU",
] as const;

/** What is done on request. */
export interface SignalActions {
  /** HUP. */
  reload(): void;
  /** USR1. */
  report(): void;
}

/**
 * Takes all signals that would end the daemon without a word, but TERM and INT. Children have
 * them all as ever: what a program takes is not handed on, and what it ignores the runtime resets.
 * @returns how to stop that
 */
export async function takeSignals(actions: SignalActions): Promise<() => void> {
  const log = openLog();
  const nothing = Object.fromEntries(
    MEANINGLESS.map((signal) => [signal, () => log.info(`${signal}: nothing is done about it`)]),
  );
  const stop = onSignals({
    ...nothing,
    SIGHUP: () => actions.reload(),
    SIGUSR1: () => actions.report(),
  });
  await ignoreUnnamedSignals();
  return stop;
}
