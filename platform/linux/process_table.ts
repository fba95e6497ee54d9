/** Processes of this machine, found by a variable of their environment (Linux's /proc). */
import { list, readText } from "../io/file_calls.ts";
import { sys } from "../kernel.ts";
import { SIGNALS } from "../signals.ts";
import { hasCode, systemError } from "../system_error.ts";

/** Finding and ending processes that are not our children (any more). */
export interface ProcessTable {
  /**
   * Processes whose environment at their start had this variable, with its value. Children of
   * such a process have it too, whatever session they are in. What belongs to others, and may not be
   * looked at, has none.
   * @throws SystemError when /proc cannot be looked at (EMFILE, say), or is not there: then nobody knows
   */
  withVariable(name: string): Promise<Map<number, string>>;
  /**
   * What tells a process from all others that have or had its number since the machine was started:
   * the number and the time of its start, in clock ticks. Undefined when it has ended (also when
   * nobody has waited for it yet).
   * @throws SystemError when that cannot be looked at
   */
  identityOf(pid: number): Promise<string | undefined>;
  /** Its program and arguments, as they are now; none when it has ended. @throws SystemError as above */
  commandLineOf(pid: number): Promise<string[]>;
  /** Sends a signal; false when there is no such process. */
  signal(pid: number, signal: "SIGHUP" | "SIGTERM" | "SIGKILL"): boolean;
}

/**
 * From here on, what becomes of this process's descendants when their parents end is its own: they
 * get it for a parent (prctl(2), PR_SET_CHILD_SUBREAPER).
 */
export function adoptOrphans(): void {
  sys.prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/** Pids of all that this process has started, and what those have; not of who has ended. @throws SystemError */
export function descendants(): number[] {
  const parents = new Map<number, number>();
  for (const entry of list("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const text = unlessGone(() => readText(`/proc/${entry}/stat`));
    const [state = "Z", parent] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (!"ZX".includes(state)) parents.set(Number(entry), Number(parent));
  }
  const ours = new Set([sys.getpid()]);
  // A parent's number may be the larger one.
  for (let size = 0; size !== ours.size;) {
    size = ours.size;
    for (const [pid, parent] of parents) if (ours.has(parent)) ours.add(pid);
  }
  ours.delete(sys.getpid());
  return [...ours];
}

/** linux/prctl.h */
const PR_SET_CHILD_SUBREAPER = 36;

/** The machine's processes. */
export const systemProcessTable: ProcessTable = {
  async withVariable(name) {
    const found = new Map<number, string>();
    const prefix = `${name}=`;
    const own = String(sys.getpid());
    const entries = list("/proc");
    if (!entries.includes(own)) {
      throw systemError("ENOENT", "ENOENT: /proc does not show processes");
    }
    let unsure: string[] = [];
    const look = (entry: string) => {
      // What is not ours to look at is not ours at all.
      const environment = unlessGone(() => readText(`/proc/${entry}/environ`), ...FORBIDDEN);
      const line = environment.split("\0").find((variable) => variable.startsWith(prefix));
      if (line !== undefined) found.set(Number(entry), line.slice(prefix.length));
      else if (environment === "" && isBeginning(entry)) unsure.push(entry);
    };
    for (const entry of entries) if (/^\d+$/.test(entry) && entry !== own) look(entry);
    // Between two programs a process has no environment, for an instant; whoever started it has gone on.
    while (unsure.length > 0) {
      await new Promise((resolve) => setTimeout(resolve, BEGINNING_POLL_MS));
      const again = unsure;
      unsure = [];
      again.forEach(look);
    }
    return found;
  },
  async identityOf(pid) {
    const text = unlessGone(() => readText(`/proc/${pid}/stat`));
    // The name in parentheses may have anything in it; what follows is numbers (proc(5)).
    const [state, ...numbers] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const start = numbers[18];
    if (start === undefined || state === "Z" || state === "X") return undefined;
    return `${pid}:${start}`;
  },
  async commandLineOf(pid) {
    const text = unlessGone(() => readText(`/proc/${pid}/cmdline`));
    return text === "" ? [] : text.replace(/\0$/, "").split("\0");
  },
  signal(pid, signal) {
    return sys.kill(pid, SIGNALS[signal]) === 0;
  },
};

/** How old a process may be that is about to become another program, in ms. */
const BEGINNING_MS = 1_000;
const BEGINNING_POLL_MS = 2;

/** Clock ticks in /proc: USER_HZ, 100 in a second on all machines that Xen runs on. */
const TICK_MS = 10;

/** linux/sched.h: a thread of the kernel's, which never has any. */
const PF_KTHREAD = 0x0020_0000;

/** Whether a process may be about to get its environment. */
function isBeginning(entry: string): boolean {
  const stat = unlessGone(() => readText(`/proc/${entry}/stat`));
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const uptime = Number(readText("/proc/uptime").split(" ")[0]) * 1000;
  const [state = "Z", flags, start] = [fields[0], fields[6], fields[19]];
  return !"ZX".includes(state) && (Number(flags) & PF_KTHREAD) === 0 &&
    uptime - Number(start) * TICK_MS < BEGINNING_MS;
}

/** What a process's files fail with once it has ended: it is there no more, or no more to be read. */
const GONE = ["ENOENT", "ESRCH"] as const;
const FORBIDDEN = ["EACCES", "EPERM"] as const;

/** What is read of a process; empty when it has ended. @throws SystemError when that cannot be told */
function unlessGone(look: () => string, ...more: readonly string[]): string {
  try {
    return look();
  } catch (error) {
    if (hasCode(error, ...GONE, ...more)) return "";
    throw error;
  }
}
