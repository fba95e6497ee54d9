/**
 * The log of Xen's helpers for scripts: who uses them has what it prints to the standard error go
 * there, and not to whoever runs it (`exec 2>>`, tools/hotplug/Linux/xen-hotplug-common.sh.in).
 */
import type { LogTails } from "../../platform/io/log_tail.ts";

/** XEN_LOG_DIR of Debian and all others that keep the default. */
export const HELPER_LOG = "/var/log/xen/xen-hotplug.log";

/** Lines that tell nothing of the script: `logger` without anybody who takes what it is given. */
const NOISE = /^logger: /;

/** What one run of a script has added. */
export interface HelperLogEntry {
  /** The last line; null when there is none. */
  readonly line: string | null;
  /** Whether no other script ran meanwhile: else the line may be another guest's. */
  readonly own: boolean;
}

/** Tells which lines are whose, as far as that can be told: they do not say. */
export class HelperLog {
  readonly path: string;
  readonly #tails: LogTails;
  #running = 0;
  #started = 0;

  constructor(tails: LogTails, path: string = HELPER_LOG) {
    this.#tails = tails;
    this.path = path;
  }

  /** Runs `work`, which gets what tells of the lines that were added since it began. */
  async during<T>(work: (added: () => Promise<HelperLogEntry>) => Promise<T>): Promise<T> {
    const mark = this.#tails.mark(this.path);
    const alone = this.#running === 0;
    const number = ++this.#started;
    this.#running++;
    try {
      return await work(async () => {
        const text = await this.#tails.since(this.path, mark);
        const lines = text?.split("\n").map((line) => line.trim()) ?? [];
        const line = lines.findLast((line) => line !== "" && !NOISE.test(line)) ?? null;
        return { line, own: alone && this.#started === number };
      });
    } finally {
      this.#running--;
    }
  }
}
