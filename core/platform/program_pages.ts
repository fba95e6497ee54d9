/** The pages of the program's own file that are in this process's memory. */
import { readFileSync } from "node:fs";
import { loadLibc } from "./libc.ts";

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
 * Gives back what the start has needed of the program's code, half of what the process seems to
 * hold: what is needed again comes back by itself, from the page cache if the machine can spare it.
 * Does nothing where that cannot be done.
 */
export async function releaseCode(): Promise<void> {
  try {
    const { madvise } = await loadLibc("release memory");
    for (
      const { start, end } of codeOf(process.execPath, readFileSync("/proc/self/smaps", "utf8"))
    ) {
      madvise(start, end - start, MADV_DONTNEED);
    }
  } catch {
    // No /proc, say.
  }
}
