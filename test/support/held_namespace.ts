/** Namespaces that outlive the programs that run in them. */
import { type ChildProcess, spawn } from "node:child_process";

/** Some of unshare(1)'s. */
type Kind = "net" | "mount";

/** A process holds them. What is mounted in them is seen nowhere else, and is gone with them. */
export class HeldNamespace {
  readonly #holder: ChildProcess;
  readonly #kinds: readonly Kind[];

  private constructor(holder: ChildProcess, kinds: readonly Kind[]) {
    this.#holder = holder;
    this.#kinds = kinds;
  }

  /**
   * @param setup command lines of the shell, run first
   * @throws Error when one of them fails
   */
  static async start(kinds: readonly Kind[], setup: readonly string[] = []) {
    const lines = ["set -e", ...setup, "echo ready", "read end"];
    const argv = [...kinds.map((kind) => `--${kind}`), "sh", "-c", lines.join("\n")];
    const holder = spawn("unshare", argv, { stdio: ["pipe", "pipe", "inherit"] });
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once("data", () => resolve());
      holder.once("error", reject);
      holder.once("exit", (code) => reject(new Error(`no namespace (status ${code})`)));
    });
    return new HeldNamespace(holder, kinds);
  }

  /** A command that runs another one there. */
  command(argv: readonly string[]): [string, ...string[]] {
    const kinds = this.#kinds.map((kind) => `--${kind}`);
    return ["nsenter", "-t", String(this.#holder.pid), ...kinds, ...argv];
  }

  /** What this path is there, to be seen from here. */
  seen(path: string): string {
    return `/proc/${this.#holder.pid}/root${path}`;
  }

  /**
   * Runs a command line there.
   * @returns what it printed
   * @throws Error when it fails
   */
  async run(line: string): Promise<string> {
    const child = Bun.spawn(this.command(["sh", "-c", line]), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [text, complaint] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    if (await child.exited !== 0) throw new Error(`${line} failed: ${complaint.trim()}`);
    return text.trimEnd();
  }

  /** They end when what runs in them has. */
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#holder.once("exit", resolve));
    this.#holder.stdin?.end();
    await ended;
  }
}
