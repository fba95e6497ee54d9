/** Debian's `xl devd` on a machine without Xen: the daemon that ours replaces, on a store of ours. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const XL = "/usr/lib/xen-4.17/bin/xl";

/** The packages that it needs. */
export const xlDevdPackages = ["xen-utils-4.17", "libxen-dev", "gcc", "libc6-dev"] as const;

/** In a mount namespace of its own: libxl keeps files of each guest. */
const PREPARE = `mount -t tmpfs none /var/lib/xen && exec "$@"`;

/** A running `xl devd`. */
export class XlDevd {
  readonly #directory: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(directory: string, child: ChildProcess) {
    this.#directory = directory;
    this.#child = child;
    this.#exited = once(child, "exit");
  }

  /**
   * Starts it, as root. It does not tell when it serves.
   * @param socket of the driver domain's store connection
   * @throws Error with what the compiler said
   */
  static async start(socket: string): Promise<XlDevd> {
    const directory = await mkdtemp(join(tmpdir(), "xdevd-xl-"));
    const source = join(import.meta.dir, "shim", "xl_attach.c");
    const shim = join(directory, "shim.so");
    const compiler = Bun.spawnSync(["gcc", "-shared", "-fPIC", "-o", shim, source]);
    if (compiler.exitCode !== 0) throw new Error(compiler.stderr.toString());
    // Each command becomes the next one, so that the process that is killed is xl.
    const argv = ["-m", "sh", "-c", PREPARE, "sh", "env", `LD_PRELOAD=${shim}`, XL, "devd", "-F"];
    const child = spawn("unshare", argv, {
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", XENSTORED_PATH: socket },
      // It complains of each guest's directory that it may not delete.
      stdio: ["ignore", "ignore", "ignore"],
    });
    return new XlDevd(directory, child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Whether it still runs. */
  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async stop(): Promise<void> {
    if (this.running) {
      this.#child.kill();
      await this.#exited;
    }
    await rm(this.#directory, { recursive: true });
  }
}
