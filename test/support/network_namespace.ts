/** A network namespace with interfaces made for the test; it outlives the programs that run in it. */
import { type ChildProcess, spawn } from "node:child_process";

/** One of them, with a mount namespace: scripts look into /sys, which shows the interfaces of who mounted it. */
export class NetworkNamespace {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  /**
   * @param setup command lines of the shell, run first
   * @throws Error when one of them fails
   */
  static async start(setup: readonly string[] = []): Promise<NetworkNamespace> {
    const lines = ["set -e", "mount -t sysfs sysfs /sys", ...setup, "echo ready", "read end"];
    const argv = ["--net", "--mount", "sh", "-c", lines.join("\n")];
    const holder = spawn("unshare", argv, { stdio: ["pipe", "pipe", "inherit"] });
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once("data", () => resolve());
      holder.once("error", reject);
      holder.once("exit", (code) => reject(new Error(`no network namespace (status ${code})`)));
    });
    return new NetworkNamespace(holder);
  }

  /** A command that runs another one there. */
  command(argv: readonly string[]): [string, ...string[]] {
    return ["nsenter", "-t", String(this.#holder.pid), "--net", "--mount", ...argv];
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

  /** It ends when what runs in it has. */
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#holder.once("exit", resolve));
    this.#holder.stdin?.end();
    await ended;
  }
}
