/** The daemon as its users run it: a process of its own, with its log at hand. */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "..");

/** How much is kept of the log of a daemon that runs for long, in characters. */
const QUIET_LOG_MAX = 100_000;

/** Longest wait for anything the daemon should do, in ms. */
const PATIENCE_MS = 10_000;

/** A finished run of the program. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How the program under test is started: from the sources, or what XDEVD_BINARY names. */
export function programCommand(): [string, ...string[]] {
  const binary = process.env["XDEVD_BINARY"];
  return binary ? [binary] : [process.execPath, path.join(root, "main.ts")];
}

/** The program under test as one file: what XDEVD_BINARY names, or the full one, compiled there. */
export function programBinary(directory: string): string {
  const given = process.env["XDEVD_BINARY"];
  if (given) return given;
  const binary = path.join(directory, "xdevd");
  const args = ["compile/compile.ts", "--full", "--outfile", binary];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`the program cannot be compiled: ${stderr}`);
  return binary;
}

/** Runs the program to its end. It is killed, and the promise rejected, when it takes too long. */
export function runProgram(
  args: readonly string[],
  env: Record<string, string> = {},
  patienceMs = PATIENCE_MS,
  [file, ...before]: readonly [string, ...string[]] = programCommand(),
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...before, ...args], {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`xdevd ${args.join(" ")} did not end:\n${stdout}${stderr}`));
    }, patienceMs);
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => stdout += chunk);
    child.stderr.on("data", (chunk) => stderr += chunk);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}

/** A daemon in the foreground. */
export class DaemonProcess {
  readonly #child: ReturnType<typeof spawn>;
  readonly #exited: Promise<number | null>;
  readonly #logFile: string | undefined;
  #log = "";

  private constructor(
    args: readonly string[],
    quiet: boolean,
    [file, ...before]: readonly [string, ...string[]],
    logFile: string | undefined,
  ) {
    const log = logFile === undefined ? undefined : openSync(logFile, "w");
    this.#child = spawn(file, [...before, "devd", "-F", ...args], {
      env: { PATH: process.env["PATH"] ?? "" },
      stdio: ["ignore", "ignore", log ?? "pipe"],
    });
    if (log !== undefined) closeSync(log);
    this.#logFile = logFile;
    this.#child.stderr?.on("data", (chunk) => {
      this.#log += chunk;
      if (quiet) this.#log = this.#log.slice(-QUIET_LOG_MAX);
    });
    this.#exited = new Promise((resolve) => this.#child.once("exit", (code) => resolve(code)));
  }

  /**
   * Starts it and waits until it serves.
   * @param options.logFile takes its log, so that nobody is woken by its lines
   * @throws Error with its log when it does not
   */
  static async start(
    args: readonly string[],
    options: {
      quiet?: boolean;
      command?: readonly [string, ...string[]];
      logFile?: string;
    } = {},
  ): Promise<DaemonProcess> {
    const { quiet = false, command = programCommand(), logFile } = options;
    const daemon = new DaemonProcess(args, quiet, command, logFile);
    await daemon.says(/serving domain/);
    return daemon;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** All it has logged. */
  get log(): string {
    return this.#logFile === undefined ? this.#log : readFileSync(this.#logFile, "utf8");
  }

  /** Its log's lines that contain a text. */
  lines(text: string): string[] {
    return this.log.split("\n").filter((line) => line.includes(text));
  }

  /** Waits until it has logged something. @throws Error with its log when it does not */
  async says(pattern: RegExp): Promise<void> {
    await until(
      () => pattern.test(this.log),
      () => `the daemon never said ${pattern}:\n${this.log}`,
    );
  }

  /** Whether it still runs. */
  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Ends it and returns its exit status. */
  async stop(signal: "SIGTERM" | "SIGINT" | "SIGKILL" = "SIGTERM"): Promise<number | null> {
    this.#child.kill(signal);
    return await this.#exited;
  }
}

/** Waits for a condition that nothing announces. @throws Error with `otherwise()` in the end */
export async function until(
  condition: () => boolean | Promise<boolean>,
  otherwise: () => string | Promise<string>,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(await otherwise());
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
