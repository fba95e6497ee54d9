/** One QEMU process: a child of this daemon, or one that has outlived the daemon that started it. */
import type { DeviceModelProgram } from "../../../contract/v1/plugin.ts";
import type { ProcessTable } from "../../../platform/linux/process_table.ts";
import type { Cancel, ChildExit, Clock, Processes } from "../../../platform/types.ts";
import { CHILD_VARIABLE } from "./children.ts";

/** What it is given to end, in ms: nothing of Xen's, which sends a HUP and does not look again. */
export const HUP_GRACE_MS = 3_000;
export const TERM_GRACE_MS = 2_000;
const KILL_GRACE_MS = 2_000;

/** How often a process is looked at that is no child of ours: nothing tells of its end. */
const LOOK_MS = 1_000;
/** How often, while it is being ended. */
const POLL_MS = 20;

/** How much of a line is shown to others than the log's readers, in characters. */
const DETAIL_MAX = 200;

/** The machine, as far as it matters here. */
export interface ProcessParts {
  readonly processes: Processes;
  readonly table: ProcessTable;
  readonly clock: Clock;
}

/** A process that is watched until it ends. */
export class ModelProcess {
  readonly pid: number;
  /** See `ProcessTable.identityOf`. */
  readonly identity: string;
  /** Resolves with how it ended, in a few words. */
  readonly ended: Promise<string>;
  /** The newest line that it printed; empty if none is known. */
  said = "";
  #over = false;
  #cancel: Cancel = () => {};
  readonly #parts: ProcessParts;

  private constructor(parts: ProcessParts, pid: number, identity: string, ended: Promise<string>) {
    this.#parts = parts;
    this.pid = pid;
    this.identity = identity;
    this.ended = ended.then((how) => {
      this.#over = true;
      return how;
    });
  }

  /**
   * Starts one.
   * @param mark what it bears in its environment, to be found by
   * @throws Error when it cannot be started
   */
  static async start(
    parts: ProcessParts,
    { argv, environment = {} }: DeviceModelProgram,
    mark: string,
    base: Readonly<Record<string, string>>,
    output: (line: string) => void,
  ): Promise<ModelProcess> {
    let qemu: ModelProcess | null = null;
    let said = "";
    const child = await parts.processes.start({
      argv,
      env: { ...environment, ...base, [CHILD_VARIABLE]: mark },
      output: (line) => {
        output(line);
        said = line.slice(0, DETAIL_MAX);
        if (qemu !== null) qemu.said = said;
      },
    }).catch((error) => {
      throw new Error(`${argv[0]} cannot be started: ${error.message}`);
    });
    // One that has ended already has no start time any more; then its number must do.
    const identity = await parts.table.identityOf(child.pid) ?? `${child.pid}:`;
    qemu = new ModelProcess(parts, child.pid, identity, child.exited.then(words));
    qemu.said = said;
    return qemu;
  }

  /** Takes up one that runs; null when it has ended. */
  static async adopt(parts: ProcessParts, pid: number): Promise<ModelProcess | null> {
    const identity = await parts.table.identityOf(pid);
    if (identity === undefined) return null;
    const { promise, resolve } = Promise.withResolvers<string>();
    const qemu = new ModelProcess(parts, pid, identity, promise);
    const look = async () => {
      // As long as nobody can tell, it runs.
      if (!await qemu.runs().catch(() => true)) return resolve("nobody knows how");
      qemu.#cancel = parts.clock.after(LOOK_MS, look);
    };
    qemu.#cancel = parts.clock.after(LOOK_MS, look);
    return qemu;
  }

  /** Whether it runs. */
  async runs(): Promise<boolean> {
    return !this.#over && await this.#parts.table.identityOf(this.pid) === this.identity;
  }

  /** Looks at it no more. */
  forget(): void {
    this.#cancel();
  }

  /**
   * Ends it: HUP, upon which QEMU closes what it has open, then TERM, then KILL.
   * @throws Error when even that does not end it
   */
  async end(): Promise<void> {
    const { table } = this.#parts;
    for (
      const [signal, ms] of [
        ["SIGHUP", HUP_GRACE_MS],
        ["SIGTERM", TERM_GRACE_MS],
        ["SIGKILL", KILL_GRACE_MS],
      ] as const
    ) {
      if (!await this.runs()) break;
      table.signal(this.pid, signal);
      if (await this.#endsWithin(ms)) break;
    }
    this.forget();
    if (await this.runs()) throw new Error(`process ${this.pid} does not end`);
  }

  async #endsWithin(ms: number): Promise<boolean> {
    const { clock } = this.#parts;
    const end = clock.now() + ms;
    while (await this.runs()) {
      if (clock.now() >= end) return false;
      await new Promise<void>((resolve) => void clock.after(POLL_MS, resolve));
    }
    return true;
  }
}

function words({ code, signal }: ChildExit): string {
  return code === null ? `killed by ${signal}` : `exit status ${code}`;
}
