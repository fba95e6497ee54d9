/** QEMU as a program that runs to its end, with a transcript and a limit in time. */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { ImageError } from "../../compile/image/image_error.ts";

/** A machine to run. */
export interface Emulation {
  /** QEMU's arguments; one of them makes a serial line write to `transcript`. */
  readonly args: readonly string[];
  readonly transcript: string;
  readonly limitSeconds: number;
  /** Takes qemu.log. */
  readonly directory: string;
  /** Called for each line of the transcript while it runs. */
  readonly onLine: (line: string) => void;
}

const pollMs = 200;

/**
 * Runs a machine until it powers itself off, or the time is up.
 * @returns the transcript
 * @throws ImageError when QEMU cannot be started
 */
export async function runEmulator(
  { args, transcript, limitSeconds, directory, onLine }: Emulation,
): Promise<{ text: string; timedOut: boolean }> {
  fs.writeFileSync(transcript, "");
  const qemuLog = fs.openSync(join(directory, "qemu.log"), "w");
  const child = spawn("qemu-system-x86_64", [...args], { stdio: ["ignore", qemuLog, qemuLog] });
  fs.closeSync(qemuLog);
  const stop = () => child.kill("SIGKILL");
  const interrupted = () => {
    stop();
    process.exit(130);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, interrupted);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    stop();
  }, limitSeconds * 1000);
  const lines = followLines(transcript, onLine);
  const poll = setInterval(lines.poll, pollMs);
  try {
    await new Promise<void>((resolve, reject) => {
      child.once(
        "error",
        (error) => reject(new ImageError(`qemu-system-x86_64: ${error.message}`)),
      );
      child.once("exit", () => resolve());
    });
  } finally {
    clearInterval(poll);
    clearTimeout(timer);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, interrupted);
  }
  lines.poll();
  return { text: fs.readFileSync(transcript, "utf8"), timedOut };
}

/** Hands over the complete lines that were added to a file since the last look. */
function followLines(file: string, onLine: (line: string) => void): { poll: () => void } {
  let seen = 0;
  const poll = () => {
    const text = fs.readFileSync(file, "utf8");
    const end = text.lastIndexOf("\n") + 1;
    if (end <= seen) return;
    for (const line of text.slice(seen, end - 1).split("\n")) onLine(line);
    seen = end;
  };
  return { poll };
}
