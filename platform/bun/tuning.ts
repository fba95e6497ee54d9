/**
 * All that is tuned for this one runtime, at three moments: before the start, after it, and when nothing
 * happens. Nothing else knows of it. Loads nothing before it is needed.
 */
import { readText } from "../io/file_calls.ts";
import { calledAs, selfCommand } from "../self.ts";
import { NO_THREADS } from "./no_threads.ts";
import { madvise } from "./sys.ts";

/**
 * Settings of the runtime, which takes them from the environment when it starts:
 * - How often a function runs before it is compiled (JavaScriptCore's runtime/OptionsList.h; 500 and
 *   100 by default; a call counts 15). A daemon that sets up a device now and then spends more on
 *   compiling than it gets back: a third of its processor time. With thousands of devices, what runs
 *   often still gets compiled.
 * - No collecting of garbage whenever there is some: see `idle_collector.ts`.
 * - No threads: see `no_threads.ts`.
 * - Memory that is free for 10 minutes goes back to the system, and is not looked for more often
 *   (options of the runtime's mimalloc, in ms; 100 by default). It does that when something is freed
 *   next, and so for a daemon that rests when the next device is set up, which asks for it again.
 */
export const ENGINE_SETTINGS: Readonly<Record<string, string>> = {
  BUN_JSC_thresholdForJITAfterWarmUp: "200000",
  BUN_JSC_thresholdForJITSoon: "200000",
  BUN_GC_TIMER_DISABLE: "1",
  ...NO_THREADS,
  MIMALLOC_PURGE_DELAY: "600000",
  MIMALLOC_PURGE_HOLES_MIN_INTERVAL: "600000",
};

/** This process's environment with the engine's settings; whoever has set one knows better. */
export function environmentWithSettings(): Record<string, string | undefined> {
  return { ...ENGINE_SETTINGS, ...process.env };
}

/**
 * Before the start: starts this program once more in its own place, as the same process, with the
 * engine's settings. Returns if it has them, or if that cannot be done: then it works without.
 * @param args the program's arguments
 */
export function tuneBeforeStart(args: readonly string[]): void {
  if (Object.keys(ENGINE_SETTINGS).some((name) => process.env[name] !== undefined)) return;
  // The runtime's list has lost what is no UTF-8.
  if (args.some((arg) => arg.includes("\ufffd"))) return;
  const [program, ...prefix] = selfCommand();
  try {
    process.execve?.(
      program,
      [calledAs(), ...prefix, ...args],
      environmentWithSettings() as Record<string, string>,
    );
  } catch {
    // Replaced on disk just now, say.
  }
}

// linux/mman.h
const MADV_DONTNEED = 4;

/** A range of addresses, [start, end). */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Where the machine code of a file is mapped, and nothing has been written to: what the kernel reads
 * again from the file when it is gone. Pure.
 * @param smaps what /proc/PID/smaps says (proc(5))
 */
export function codeOf(file: string, smaps: string): Range[] {
  const found: Range[] = [];
  for (const mapping of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const [, start, end, name] =
      /^([0-9a-f]+)-([0-9a-f]+) r-xp [0-9a-f]+ \S+ \d+ +(\/.*)$/m.exec(mapping) ?? [];
    // A copy of a page, by a relocation or a debugger, is in no file; it may be swapped out by now.
    if (name !== file || !/^Anonymous: +0 kB$/m.test(mapping)) continue;
    if (/^Swap: +[1-9]/m.test(mapping)) continue;
    found.push({ start: parseInt(start!, 16), end: parseInt(end!, 16) });
  }
  return found;
}

/**
 * After the start: collects everything, also what the engine has made of code and would need again.
 * Gives back what the start has needed of the program's code, half of what the process seems to hold:
 * what is needed again comes back by itself, from the page cache if the machine can spare it.
 */
export async function tuneAfterStart(): Promise<void> {
  Bun.gc(true);
  await releaseCode();
}

/** Does nothing where that cannot be done. */
export async function releaseCode(): Promise<void> {
  try {
    for (const { start, end } of codeOf(process.execPath, readText("/proc/self/smaps"))) {
      madvise(start, end - start, MADV_DONTNEED);
    }
  } catch {
    // No /proc, say.
  }
}

/** Collects objects, at once: some milliseconds. */
export async function collectObjects(): Promise<void> {
  const { fullGC } = await import("bun:jsc");
  fullGC();
}
