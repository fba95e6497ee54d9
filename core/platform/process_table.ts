/** Processes of this machine, found by a variable of their environment (Linux's /proc). */
import * as fs from "node:fs/promises";

/** Finding and ending processes that are not our children (any more). */
export interface ProcessTable {
  /**
   * Processes whose environment at their start had this variable, with its value. Children of
   * such a process have it too, whatever session they are in. Without /proc: none.
   */
  withVariable(name: string): Promise<Map<number, string>>;
  /** Sends a signal; false when there is no such process. */
  signal(pid: number, signal: "SIGTERM" | "SIGKILL"): boolean;
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
  signal(pid, signal) {
    try {
      process.kill(pid, signal);
      return true;
    } catch {
      return false;
    }
  },
};
