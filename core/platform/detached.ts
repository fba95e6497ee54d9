/** Starting this program again, in the background. */
import * as fs from "node:fs";
import { environmentWithSettings } from "./tuning.ts";
import { selfCommand } from "./self.ts";

/** The descriptor through which a detached child reports to the one that started it. */
const REPORT_FD = 3;

/**
 * Starts this program again in a session of its own, and waits until it says how its start went. It
 * has this process's standard error until it has one of its own.
 * @returns null when it is up, else its last words
 * @throws SystemError when it cannot be started
 */
export async function startDetached(args: readonly string[]): Promise<string | null> {
  // Not for the child, which lives long.
  const { spawn } = await import("node:child_process");
  const [program, ...prefix] = selfCommand();
  return await new Promise((resolve, reject) => {
    const child = spawn(program, [...prefix, ...args], {
      detached: true,
      env: environmentWithSettings(),
      stdio: ["ignore", "ignore", "inherit", "pipe"],
    });
    let words = "";
    child.once("error", reject);
    const report = child.stdio[REPORT_FD] as NodeJS.ReadableStream;
    report.on("data", (chunk: Uint8Array) => words += new TextDecoder().decode(chunk));
    report.on("end", () => {
      child.unref();
      resolve(words === READY ? null : words.trim() || "it ended at once, without a word");
    });
  });
}

const READY = "ready\n";

/** In the detached child: reports success (null) or a failure, once. */
export function reportStart(failure: string | null): void {
  fs.writeSync(REPORT_FD, failure ?? READY);
  fs.closeSync(REPORT_FD);
}
