/** Giving the start's code pages back. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { codeOf, releaseCode } from "../../platform/bun/tuning.ts";

const mapping = (range: string, mode: string, name: string, anonymous: number, swap = 0) =>
  `${range} ${mode} 01838000 fe:00 5242                      ${name}\n` +
  `Size:              79912 kB\nRss:               31688 kB\nPrivate_Dirty:         8 kB\n` +
  `Anonymous:  ${`${anonymous}`.padStart(12)} kB\nSwap:       ${`${swap}`.padStart(12)} kB\n` +
  `VmFlags: rd ex mr mw me\n`;

test("only code of the program, and only what is as in the file", () => {
  const smaps = [
    mapping("00200000-01a39000", "r--p", "/usr/sbin/xdevd", 0),
    mapping("01a40000-0684a000", "r-xp", "/usr/sbin/xdevd", 0),
    mapping("0684a000-0685f000", "rw-p", "/usr/sbin/xdevd", 0),
    mapping("06860000-06870000", "r-xp", "/usr/sbin/xdevd", 4),
    mapping("06870000-06880000", "r-xp", "/usr/sbin/xdevd", 0, 4),
    mapping("06880000-06890000", "r-xp", "/usr/sbin/xdevd-other", 0),
    mapping("7f1a9ea9b000-7f1a9ebf1000", "r-xp", "/usr/lib/libc.so.6", 0),
    mapping("7f1a9ec00000-7f1a9ec01000", "rwxp", "", 0),
    mapping("7ffc0000-7ffc1000", "r-xp", "/usr/sbin/xdevd (deleted)", 0),
  ].join("");
  expect(codeOf("/usr/sbin/xdevd", smaps)).toEqual([{ start: 0x1a40000, end: 0x684a000 }]);
  expect(codeOf("/usr/sbin/xdevd", "")).toEqual([]);
});

test("less of this very process's code is in memory, and it goes on", async () => {
  const resident = () => {
    const smaps = readFileSync("/proc/self/smaps", "utf8");
    const [code] = codeOf(process.execPath, smaps);
    const from = smaps.indexOf(code!.start.toString(16).padStart(8, "0"));
    return Number(/^Rss: +(\d+) kB$/m.exec(smaps.slice(from))![1]);
  };
  const before = resident();
  await releaseCode();
  expect(resident()).toBeLessThan(before);
  expect([3, 1, 2].toSorted()).toEqual([1, 2, 3]);
});
