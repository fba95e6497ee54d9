/** What a process has cost so far, read from `/proc`. */
import * as fs from "node:fs";

/** Waits until a process does next to nothing, no longer than 20 s. */
export async function rest(pid: number): Promise<void> {
  for (let tries = 0; tries < 40; tries++) {
    const before = cpuMs(pid);
    await new Promise((resolve) => setTimeout(resolve, 500));
    if (cpuMs(pid) - before <= 10) return;
  }
}

/** Processor time, in ms, to 10 ms. */
export function cpuMs(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  // utime and stime, in hundredths of a second (proc(5)).
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/**
 * Processor time of the threads that there are, in ms, to the microsecond (the first number of their
 * `schedstat` is in ns). One that ends takes its own with it.
 */
export function threadsMs(pid: number): number {
  let ns = 0;
  for (const thread of fs.readdirSync(`/proc/${pid}/task`)) {
    try {
      ns += Number(fs.readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
    } catch {
      // It has just ended.
    }
  }
  return ns / 1e6;
}

/** Of all that has been written by system calls for it, to sockets as well (proc(5), `io`). */
export function writtenBytes(pid: number): number {
  return Number(/wchar: (\d+)/.exec(fs.readFileSync(`/proc/${pid}/io`, "utf8"))![1]);
}

/** In MB. */
export function residentMb(pid: number): number {
  const text = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(text)![1]) / 1024;
}
