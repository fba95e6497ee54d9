/** Processes of this machine, found by a variable of their environment (Linux's /proc). */
import * as fs from "node:fs/promises";

/** Finding and ending processes that are not our children (any more). */
export interface ProcessTable {
  /**
   * Processes whose environment at their start had this variable, with its value. Children of
   * such a process have it too, whatever session they are in. Without /proc: none.
   */
  withVariable(name: string): Promise<Map<number, string>>;
  /**
   * What tells a process from all others that have or had its number since the machine was started:
   * the number and the time of its start, in clock ticks. Undefined when it has ended (also when
   * nobody has waited for it yet), or there is no /proc.
   */
  identityOf(pid: number): Promise<string | undefined>;
  /** Its program and arguments, as they are now; none when it has ended. */
  commandLineOf(pid: number): Promise<string[]>;
  /** Sends a signal; false when there is no such process. */
  signal(pid: number, signal: "SIGHUP" | "SIGTERM" | "SIGKILL"): boolean;
}

/** The machine's processes. */
export const systemProcessTable: ProcessTable = {
  async withVariable(name) {
    const found = new Map<number, string>();
    const prefix = `${name}=`;
    for (const entry of await fs.readdir("/proc").catch(() => [])) {
      if (!/^\d+$/.test(entry) || entry === String(process.pid)) continue;
      let environment: string;
      try {
        environment = await fs.readFile(`/proc/${entry}/environ`, "utf8");
      } catch {
        // Ended meanwhile, or not ours to look at: then not ours at all.
        continue;
      }
      const line = environment.split("\0").find((variable) => variable.startsWith(prefix));
      if (line !== undefined) found.set(Number(entry), line.slice(prefix.length));
    }
    return found;
  },
  async identityOf(pid) {
    const text = await fs.readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    // The name in parentheses may have anything in it; what follows is numbers (proc(5)).
    const [state, ...numbers] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const start = numbers[18];
    if (start === undefined || state === "Z" || state === "X") return undefined;
    return `${pid}:${start}`;
  },
  async commandLineOf(pid) {
    const text = await fs.readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    return text === "" ? [] : text.replace(/\0$/, "").split("\0");
  },
  signal(pid, signal) {
    try {
      process.kill(pid, signal);
      return true;
    } catch {
      return false;
    }
  },
};
