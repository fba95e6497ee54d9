/**
 * Processes by the operation that they were started for: scripts of an earlier daemon, which go on when
 * it is killed, and what scripts and programs have started in sessions of their own. What an operation
 * was for must not be touched before they have ended.
 */
import type { ProcessTable } from "../../../platform/linux/process_table.ts";
import type { Clock } from "../../../platform/types.ts";

/**
 * The variable that marks all processes of an operation; its value is the operation's id, for some with
 * a part of their own behind `/`.
 */
export const OPERATION_VARIABLE = "XDEVD_OPERATION";

/** How often processes are looked at that are waited for, in ms: nothing tells of their end. */
const POLL_MS = 100;

/** How long one may be between two programs, in ms. */
const EXEC_MS = 20;

/** How long they have between TERM and KILL, in ms. */
const KILL_GRACE_MS = 2_000;

/** Finds and ends what still runs of operations. One look at all processes serves all waiters. */
export class Orphans {
  readonly #table: ProcessTable;
  readonly #clock: Clock;
  #look: Promise<Map<number, string>> | null = null;

  constructor(table: ProcessTable, clock: Clock) {
    this.#table = table;
    this.#clock = clock;
  }

  /**
   * Resolves when no process of the operation runs; after `ms` milliseconds they get TERM, then
   * KILL. When nobody can tell which there are, some run.
   * @returns whether they had to be ended
   * @throws Error when even that does not end them within as long again, or nobody could tell
   */
  async ended(operation: string, ms: number): Promise<boolean> {
    const start = this.#clock.now();
    let signalled: "SIGTERM" | "SIGKILL" | null = null;
    for (;;) {
      const found = await this.#pidsOf(operation).catch((error: Error) => error);
      const pids = found instanceof Error ? [] : found;
      if (pids === found && pids.length === 0) return signalled !== null;
      const late = this.#clock.now() - start - ms;
      if (late >= 2 * KILL_GRACE_MS) {
        throw new Error(
          found instanceof Error
            ? `processes of an earlier operation may run: ${found.message}`
            : `processes ${pids.join(", ")} of an earlier operation do not end`,
        );
      }
      const due = late < 0 ? null : late < KILL_GRACE_MS ? "SIGTERM" : "SIGKILL";
      // There may be new ones meanwhile: KILL is sent until there are none.
      if (due === "SIGKILL" || due !== null && due !== signalled) {
        for (const pid of pids) this.#table.signal(pid, due);
      }
      if (pids.length > 0) signalled = due;
      await new Promise<void>((resolve) => this.#clock.after(POLL_MS, resolve));
    }
  }

  /**
   * Ends what is left of an operation that was stopped, and resolves when no process of it runs.
   * @param first what they get; those that TERM does not end get KILL @throws Error as {@link ended}
   */
  async end(operation: string, first: "SIGTERM" | "SIGKILL"): Promise<void> {
    const ms = first === "SIGTERM" ? 0 : -KILL_GRACE_MS;
    await this.ended(operation, ms);
    // One that is about to become another program has no environment for a moment.
    await new Promise<void>((resolve) => this.#clock.after(EXEC_MS, resolve));
    await this.ended(operation, ms);
  }

  /** All operations of which processes run. */
  async operations(): Promise<Set<string>> {
    return new Set((await this.#table.withVariable(OPERATION_VARIABLE)).values());
  }

  async #pidsOf(operation: string): Promise<number[]> {
    this.#look ??= this.#table.withVariable(OPERATION_VARIABLE).finally(() => this.#look = null);
    const found = await this.#look;
    return [...found].filter(([, value]) =>
      value === operation || value.startsWith(`${operation}/`)
    ).map(([pid]) => pid);
  }
}
