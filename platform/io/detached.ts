/** Starting this program again, in the background. */
import { closeFile, currentDirectory, writeOpen } from "./file_calls.ts";
import { openOutputPipe } from "./pipe.ts";
import { sources } from "../runtime.ts";
import { selfCommand } from "../self.ts";
import { environmentWithSettings } from "../tuning.ts";

/** The descriptor through which a detached child reports to the one that started it. */
const REPORT_FD = 3;

/** The standard error. */
const STDERR = 2;

/**
 * Starts this program again in a session of its own, and waits until it says how its start went. It
 * has this process's standard error until it has one of its own.
 * @returns null when it is up, else its last words
 * @throws SystemError when it cannot be started
 */
export async function startDetached(args: readonly string[]): Promise<string | null> {
  const report = openOutputPipe();
  const env = Object.fromEntries(
    Object.entries(environmentWithSettings()).filter(([, value]) => value !== undefined),
  ) as Record<string, string>;
  try {
    const fds = [null, null, STDERR, report.theirs];
    sources.start(
      { argv: [...selfCommand(), ...args], env, cwd: currentDirectory(), fds },
      () => {},
    );
  } finally {
    report.closeTheirs();
  }
  let words = "";
  const decoder = new TextDecoder();
  await report.drain((chunk) => words += decoder.decode(chunk, { stream: true }));
  return words === READY ? null : words.trim() || "it ended at once, without a word";
}

const READY = "ready\n";

/** In the detached child: reports success (null) or a failure, once. */
export function reportStart(failure: string | null): void {
  writeOpen(REPORT_FD, new TextEncoder().encode(failure ?? READY));
  closeFile(REPORT_FD);
}
