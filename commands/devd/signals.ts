/** What the daemon does when it is sent a signal: docs/cli.md has the table. */
import { openAnswers, openLog } from "../../core/log/log.ts";
import { ignoreUnnamedSignals } from "../../platform/linux/unnamed_signals.ts";
import { onSignals } from "../../platform/self.ts";
import { problemOf } from "../../core/messages/error.ts";
import { coded } from "../../core/messages/table.ts";
import { type PluginOptions, readSettings } from "../plugin/set.ts";
import type { BackgroundLog } from "./background_log.ts";
import type { Serving } from "./serving.ts";
import { storage } from "../../platform/storage.ts";
import type { Reloaded } from "../../core/daemon/control/methods.ts";
import type { Unanswered } from "../../core/daemon/control/report.ts";
import { stateLines } from "./state_report.ts";

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
interface SignalActions {
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

/**
 * Goes on in a new log file, if there is one, and reads the configuration again. What is wrong is
 * said, and then everything stays as it was.
 * @param serving null before the daemon serves: then the configuration has only just been read
 */
export async function reload(
  options: PluginOptions,
  serving: Serving | null,
  file: BackgroundLog | undefined,
): Promise<void> {
  const [log, answer] = [openLog(), openAnswers()];
  try {
    file?.reopen();
    if (file?.begun) answer("SIGHUP: the log is open again");
  } catch (error) {
    log.error(`SIGHUP: ${(error as Error).message}`);
  }
  if (serving === null) return;
  try {
    const { source, applied, pending } = await readAgain(options, serving);
    const name = source ?? "there is no configuration file";
    answer(
      `SIGHUP: configuration read again (${name}): ` +
        (applied.length === 0
          ? "nothing to apply has changed"
          : `from the next call on: ${applied.join(", ")}`),
    );
    if (pending.length > 0) {
      log.warning(coded(
        "restart-needed",
        `SIGHUP: changed, and needs a restart of the daemon: ${pending.join(", ")}`,
      ));
    }
  } catch (error) {
    const { code, message } = problemOf(error);
    log.error(coded(code, `SIGHUP: ${message}; everything stays as it was`));
  }
}

/**
 * Reads the configuration again.
 * @throws CodedError when something is wrong with it; then all stays as it was
 */
export async function readAgain(
  options: PluginOptions,
  serving: Pick<Serving, "daemon" | "settings">,
): Promise<Reloaded> {
  // Whoever asks for it may have mended what was in the way.
  serving.daemon.devices.helpStuck();
  const settings = await readSettings(options);
  return { source: settings.source?.path ?? null, ...serving.settings.apply(settings) };
}

/** The calls that storage has not answered. */
export function unansweredCalls(): Unanswered[] {
  const now = performance.now();
  return storage.left.map(({ since, ...left }) => ({ ...left, silentMs: Math.round(now - since) }));
}

/** Logs how all devices are. @param serving null before the daemon serves */
export function reportState(serving: Serving | null): void {
  const answer = openAnswers();
  if (serving === null) return answer("SIGUSR1: not serving yet");
  const { devices } = serving.daemon;
  for (const line of stateLines(devices.reports(), devices.held, unansweredCalls())) answer(line);
}
