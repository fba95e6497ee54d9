/** Bounding processes as a system administrator would. */
import * as fs from "node:fs";
import { until } from "./daemon_process.ts";

/** A control group that bounds processes, of whichever version there is here. */
export class PidsGroup {
  readonly #path: string;

  /** @param name which nobody else gives one */
  constructor(name: string) {
    const old = "/sys/fs/cgroup/pids";
    const mount = fs.existsSync(old) ? old : "/sys/fs/cgroup";
    if (mount !== old) fs.writeFileSync(`${mount}/cgroup.subtree_control`, "+pids");
    this.#path = `${mount}/${name}`;
    fs.mkdirSync(this.#path);
  }

  get procs(): string {
    return `${this.#path}/cgroup.procs`;
  }

  /** @param most `now`: as many as there are; `max`: as many as one likes */
  limit(most: number | "now" | "max"): void {
    const present = fs.readFileSync(`${this.#path}/pids.current`, "utf8").trim();
    fs.writeFileSync(`${this.#path}/pids.max`, most === "now" ? present : String(most));
  }

  /** Those that are in it: the number and the command line of each. */
  get processes(): string[] {
    const pids = fs.readFileSync(this.procs, "utf8").split("\n").filter((line) => line !== "");
    return pids.flatMap((pid) => {
      try {
        return `${pid} ${fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")}`;
      } catch {
        // It has just ended.
        return [];
      }
    });
  }

  async remove(): Promise<void> {
    const isGone = () => {
      try {
        fs.rmdirSync(this.#path);
        return true;
      } catch {
        return false;
      }
    };
    await until(isGone, () => `${this.#path} cannot be removed`);
  }
}
