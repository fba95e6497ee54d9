/**
 * Processes that serve devices. They outlive the daemon: each bears the device's mark in its
 * environment, and is found by it.
 */
import { CAPABILITIES } from "../../../contract/v1/capabilities.ts";
import type { DeviceChildren } from "../../../contract/v1/plugin.ts";
import { type Log, oneLine } from "../../log/log.ts";
import type { ProcessTable } from "../../../platform/linux/process_table.ts";
import type { Child, ChildExit, Clock, Processes } from "../../../platform/types.ts";

/** The variable that marks them; its value is the device's mark and the process's name. */
export const CHILD_VARIABLE = "XDEVD_CHILD";

/** How many a device may have: what is beyond is not bounded by a plugin's control group. */
const CHILDREN_MAX = CAPABILITIES["children.start"].limits.count;

/** How long they have between TERM and KILL, in ms. */
const KILL_GRACE_MS = 2_000;
const POLL_MS = 20;

/** How much is shown of the last line that one printed, in characters. */
const SAID_MAX = 300;

/** A process of this daemon's. */
interface Running {
  readonly child: Child;
  /** It is meant to end. */
  stopping: boolean;
}

/** What a device's processes are started with. */
export interface ChildrenContext {
  /** Tells this attach of the device from all others. */
  readonly mark: string;
  readonly path: string;
  readonly log: Log;
  /** Notes that there will be a process. @throws Error when it cannot be written */
  hold(name: string, argv: string): void;
  /** Called when one has ended by itself. */
  onExit(): void;
}

/** Keeps the processes of all devices. */
export class ChildKeeper {
  readonly #processes: Processes;
  readonly #table: ProcessTable;
  readonly #clock: Clock;
  readonly #running = new Map<string, Running>();
  /** How those ended that were not meant to, until they are stopped or started again. */
  readonly #ended = new Map<string, string>();
  #look: Promise<Map<number, string>> | null = null;

  constructor(processes: Processes, table: ProcessTable, clock: Clock) {
    this.#processes = processes;
    this.#table = table;
    this.#clock = clock;
  }

  /** The processes of one device. */
  of(context: ChildrenContext): DeviceChildren {
    const key = (name: string) => `${context.mark}/${name}`;
    return {
      start: async (name, argv) => await this.#start(key(name), name, argv, context),
      running: async (name) => await this.#isRunning(key(name)),
      stop: async (name, graceMs = KILL_GRACE_MS) =>
        await this.#stop(key(name), Math.min(Math.max(0, graceMs), KILL_GRACE_MS)),
    };
  }

  /** Ends all that bear a device's mark. */
  async stopAll(mark: string): Promise<void> {
    const known = [...this.#running.keys(), ...this.#ended.keys()];
    const keys = new Set(known.filter((key) => key.startsWith(`${mark}/`)));
    for (const key of (await this.#marked()).values()) {
      if (key.startsWith(`${mark}/`)) keys.add(key);
    }
    await Promise.all([...keys].map((key) => this.#stop(key)));
  }

  /**
   * How a process that was recorded under this name has ended, with the last line that it printed, as
   * far as that is known; null while it runs.
   */
  async endOf(mark: string, name: string): Promise<string | null> {
    const key = `${mark}/${name}`;
    if (await this.#isRunning(key)) return null;
    const how = this.#ended.get(key);
    return `its process ${name} has ended${how === undefined ? "" : `: ${how}`}`;
  }

  async #start(
    key: string,
    name: string,
    argv: readonly [string, ...string[]],
    { mark, path, log, hold, onExit }: ChildrenContext,
  ): Promise<void> {
    if (await this.#isRunning(key)) return;
    const those = [...this.#running.keys()].filter((other) => other.startsWith(`${mark}/`));
    if (those.length >= CHILDREN_MAX) {
      throw new Error(`process ${name}: the device has ${CHILDREN_MAX} already`);
    }
    hold(name, argv.join(" "));
    this.#ended.delete(key);
    let said = "";
    let child: Child;
    try {
      child = await this.#processes.start({
        argv,
        env: { PATH: path, [CHILD_VARIABLE]: key },
        output: (line) => {
          if (line.trim() !== "") said = line;
          log.info(`${name}: ${line}`);
        },
      });
    } catch (error) {
      throw new Error(`process ${name}: ${argv[0]} cannot be started: ${(error as Error).message}`);
    }
    const running: Running = { child, stopping: false };
    this.#running.set(key, running);
    child.exited.then((exit) => {
      if (this.#running.get(key) === running) this.#running.delete(key);
      if (running.stopping) return;
      const how = words(exit) + (said === "" ? "" : `: ${oneLine(said, SAID_MAX)}`);
      this.#ended.set(key, how);
      log.warning(`its process ${name} ended: ${how}`);
      onExit();
    });
  }

  async #isRunning(key: string): Promise<boolean> {
    if (this.#running.has(key)) return true;
    return [...(await this.#marked()).values()].includes(key);
  }

  async #stop(key: string, graceMs = KILL_GRACE_MS): Promise<void> {
    this.#ended.delete(key);
    const running = this.#running.get(key);
    if (running !== undefined) {
      running.stopping = true;
      running.child.signalGroup("SIGTERM");
    }
    const start = this.#clock.now();
    const told = new Set<string>();
    for (;;) {
      const pids = await this.#pidsOf(key);
      if (pids.length === 0 && !this.#running.has(key)) return;
      const late = this.#clock.now() - start;
      if (late > 2 * KILL_GRACE_MS) throw new Error(`processes ${pids.join(", ")} do not end`);
      const signal = late < graceMs ? "SIGTERM" : "SIGKILL";
      for (const pid of pids) {
        if (told.has(`${pid} ${signal}`)) continue;
        told.add(`${pid} ${signal}`);
        this.#table.signal(pid, signal);
      }
      if (signal === "SIGKILL") running?.child.signalGroup("SIGKILL");
      await new Promise<void>((resolve) => this.#clock.after(POLL_MS, resolve));
    }
  }

  async #pidsOf(key: string): Promise<number[]> {
    return [...await this.#marked()].filter(([, value]) => value === key).map(([pid]) => pid);
  }

  /** One look at all processes serves all who ask meanwhile. */
  #marked(): Promise<Map<number, string>> {
    return this.#look ??= this.#table.withVariable(CHILD_VARIABLE).finally(() => this.#look = null);
  }
}

function words({ code, signal }: ChildExit): string {
  return code === null ? `it was killed by ${signal}` : `exit status ${code}`;
}
