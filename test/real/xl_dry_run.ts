/** Debian's `xl -N`: what the real parsers make of a specification. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const XL = "/usr/lib/xen-4.17/bin/xl";

/** What xl said. */
export interface DryRun {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

/** Runs xl where there is no hypervisor. */
export class XlDryRun {
  readonly #directory: string;
  readonly #preload: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.#preload = join(directory, "xl_dry_run.so");
  }

  static async make(): Promise<XlDryRun> {
    const xl = new XlDryRun(await mkdtemp(join(tmpdir(), "xdevd-xl-")));
    const source = join(import.meta.dir, "shim", "xl_dry_run.c");
    const compiler = Bun.spawnSync(["gcc", "-shared", "-fPIC", "-o", xl.#preload, source]);
    if (compiler.exitCode !== 0) throw new Error(compiler.stderr.toString());
    return xl;
  }

  run(command: "block-attach" | "network-attach", texts: readonly string[]): DryRun {
    const child = Bun.spawnSync([XL, "-N", command, "0", ...texts], {
      env: { LD_PRELOAD: this.#preload, PATH: "/usr/bin:/bin" },
    });
    return {
      status: child.exitCode,
      output: child.stdout.toString(),
      errors: child.stderr.toString(),
    };
  }

  async remove(): Promise<void> {
    await rm(this.#directory, { recursive: true });
  }
}
