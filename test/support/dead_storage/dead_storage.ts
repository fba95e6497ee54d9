/** A file system that stops answering, and a watchdog that ends it whatever happens to the test. */
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseMountTable } from "../../../platform/linux/mount_table.ts";
import { until } from "../daemon_process.ts";

const here = (name: string) => join(import.meta.dir, name);

/** The kinds of request that can be left unanswered. */
export type Silence = "lookup" | "getattr" | "read" | "all";

/** How long one may live, in s: the watchdog ends it then. */
const LIFE_S = 240;

/** A file system of its own server's. */
export class DeadStorage {
  readonly mountPoint: string;
  readonly #control: string;
  readonly #server: ChildProcess;
  readonly #watchdog: ChildProcess;

  private constructor(
    mountPoint: string,
    control: string,
    server: ChildProcess,
    watchdog: ChildProcess,
  ) {
    this.mountPoint = mountPoint;
    this.#control = control;
    this.#server = server;
    this.#watchdog = watchdog;
  }

  /**
   * Mounts it; it answers for now.
   * @param files how many images it has @param size of each, in bytes
   */
  static async start(files = 1, size = 64 * 1024, lifeS: number = LIFE_S): Promise<DeadStorage> {
    const directory = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), "xdevd-fuse-"));
    const [mountPoint, control] = [join(directory, "mnt"), join(directory, "silenced")];
    for (const path of [mountPoint, control]) fs.mkdirSync(path);
    // The server alone has /dev/fuse open: if it ends, so does the connection.
    const server = spawn(
      process.execPath,
      [here("fuse_server.ts"), mountPoint, control, String(files), String(size)],
      { stdio: ["ignore", "pipe", "inherit"], detached: true },
    );
    const isMounted = await new Promise<boolean>((resolve) => {
      server.stdout!.once("data", () => resolve(true));
      server.once("exit", () => resolve(false));
    });
    if (!isMounted) throw new Error("the file system could not be mounted");
    const mount = parseMountTable(fs.readFileSync("/proc/self/mountinfo", "utf8"))
      .find(({ point }) => point === mountPoint);
    const number = mount!.device.slice("0:".length);
    const watchdog = spawn(
      here("watchdog.sh"),
      [number, mountPoint, directory, String(lifeS)],
      { stdio: ["pipe", "inherit", "inherit"], detached: true },
    );
    return new DeadStorage(mountPoint, control, server, watchdog);
  }

  /** Pids of the server and the watchdog. */
  get pids(): { readonly server: number; readonly watchdog: number } {
    return { server: this.#server.pid!, watchdog: this.#watchdog.pid! };
  }

  /** An image's path. */
  image(number = 0): string {
    return join(this.mountPoint, `disk-${number}`);
  }

  /** From now on requests of this kind are not answered. */
  silence(kind: Silence): void {
    fs.writeFileSync(join(this.#control, kind), "");
  }

  /** How many requests it has taken and not answered, at least. */
  get held(): number {
    const file = join(this.#control, "held");
    return fs.existsSync(file) ? Number(fs.readFileSync(file, "utf8")) : 0;
  }

  /** Answers all from now on, and what it has not answered before. */
  answer(): void {
    for (const name of fs.readdirSync(this.#control)) fs.rmSync(join(this.#control, name));
    fs.statSync(this.mountPoint);
  }

  /** Aborts it: whoever waits gets an error. */
  async end(): Promise<void> {
    this.#watchdog.stdin!.end();
    const ended = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;
    await until(
      () => ended(this.#watchdog) && ended(this.#server),
      () =>
        `the watchdog (${this.#watchdog.pid}) or the server (${this.#server.pid}) has not ended`,
    );
  }
}
