/** Starting this program again, in the background. */
import * as fs from "node:fs";
import { spawn } from "./child.ts";
import { openOutputPipe } from "./pipe.ts";
import { selfCommand } from "./self.ts";
import { environmentWithSettings } from "./tuning.ts";

/** The descriptor through which a detached child reports to the one that started it. */
const REPORT_FD = 3;

/**
 * Starts this program again in a session of its own, and waits until it says how its start went. It
 * has this process's standard error until it has one of its own.
 * @returns null when it is up, else its last words
 * @throws SystemError when it cannot be started
 */
export async function startDetached(args: readonly string[]): Promise<string | null> {
  const report = await openOutputPipe();
  try {
    spawn({
      argv: [...selfCommand(), ...args],
      env: environmentWithSettings(),
      stdio: ["ignore", "ignore", "inherit", report.theirs],
    }, () => {});
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
  fs.writeSync(REPORT_FD, failure ?? READY);
  fs.closeSync(REPORT_FD);
}
