/**
 * What an idle daemon of either binary costs, beside `xl devd` and beside a program that only waits, compiled
 * with the full one's options: memory, and how often it is woken. On the C xenstored, no devices; all begin at
 * the same time. Needs root and Debian's packages.
 *
 * Memory is what the kernel says of the process a while after its start (/proc/PID/smaps_rollup):
 * `Anonymous` is what is its alone and nobody can take from it; `Rss` is that and the pages of files
 * (the program, libraries) that it has touched and the kernel may take at any time. Wake-ups are all
 * context switches of all its threads (proc(5)): whoever is not woken is not switched to. A debugger's
 * or tracer's presence would count too.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { explainMissing, xenstoredPackages } from "../real/requirements.ts";
import { startXenstored } from "../real/xenstored.ts";
import { XlDevd, xlDevdPackages } from "../real/xl_devd.ts";
import { DaemonProcess } from "../support/daemon_process.ts";
import { makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { compilePeer, compileSubjects } from "./compiled.ts";
import type { Benchmark, Result } from "./result.ts";
import { summarise } from "./statistics.ts";

/** Processes of each kind. */
const COUNT = 5;
/** The runtime collects garbage each second for half a minute, and then each half minute. */
const SETTLE_MS = 60_000;
const WATCHED_MS = 60_000;

const XL = "xl devd, without devices";
const PEER = "a program on Bun that waits";

type Series = Record<string, number[]>;

/** The benchmark. */
export const memory: Benchmark = async () => {
  const missing = explainMissing("bench memory", {
    packages: [...xenstoredPackages, ...xlDevdPackages],
    root: true,
  });
  if (missing !== null) throw new Error(missing);
  const directory = mkdtempSync(join(tmpdir(), "xdevd-bench-"));
  const subjects = compileSubjects(directory);
  const each = subjects.length + 1;
  const domids = Array.from({ length: each * COUNT }, (_, number) => number + 1);
  const store = await startXenstored({ domains: domids });
  const dom0 = await connectTo(store.socketPath(0));
  const waiting: Bun.Subprocess[] = [];
  const daemons = subjects.map((): DaemonProcess[] => []);
  const theirs: XlDevd[] = [];
  try {
    const peer = await compilePeer("waiting", directory);
    for (const domid of domids) await makeDomain(dom0, domid);
    for (let number = 0; number < COUNT; number++) {
      waiting.push(Bun.spawn([peer], { stdin: "ignore", stdout: "ignore", stderr: "ignore" }));
      const [xl, ...ours] = domids.slice(each * number, each * (number + 1));
      theirs.push(await XlDevd.start(store.socketPath(xl!)));
      for (const [index, { file }] of subjects.entries()) {
        const domid = ours[index]!;
        const args = ["--store", store.socketPath(domid), "--run-dir", join(directory, `${domid}`)];
        daemons[index]!.push(await DaemonProcess.start(args, { command: [file] }));
      }
    }
    const pids = {
      [XL]: theirs.map(({ pid }) => pid),
      ...Object.fromEntries(
        subjects.map(({ name }, index) => [
          `${name} devd, without devices`,
          daemons[index]!.map(({ pid }) => pid),
        ]),
      ),
      [PEER]: waiting.map(({ pid }) => pid),
    };
    await Bun.sleep(SETTLE_MS);
    const before = forEach(pids, contextSwitches);
    await Bun.sleep(WATCHED_MS);
    const after = forEach(pids, contextSwitches);
    const perMinute = Object.fromEntries(
      Object.entries(after).map(([name, counts]) => [
        name,
        counts.map((count, at) => (count - before[name]![at]!) * 60_000 / WATCHED_MS),
      ]),
    );
    return [
      result("memory of its own", "MB", forEach(pids, (pid) => megabytes(pid, "Anonymous"))),
      result("with pages of files", "MB", forEach(pids, (pid) => megabytes(pid, "Rss"))),
      result("context switches of all threads", "1/minute", perMinute),
    ];
  } finally {
    for (const child of waiting) child.kill();
    for (const daemon of daemons.flat()) await daemon.stop();
    for (const one of theirs) await one.stop();
    dom0.close();
    await store.stop();
    rmSync(directory, { recursive: true });
  }
};

function forEach(
  pids: Readonly<Record<string, readonly number[]>>,
  measure: (pid: number) => number,
): Series {
  return Object.fromEntries(
    Object.entries(pids).map(([name, of]) => [name, of.map((pid) => measure(pid))]),
  );
}

function result(what: string, unit: string, series: Series): Result {
  const subjects = Object.entries(series).map(([name, values]) => [name, summarise(values)]);
  return { what, unit, subjects: Object.fromEntries(subjects) };
}

/** @param field in KiB, as proc(5) has it */
function megabytes(pid: number, field: string): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(new RegExp(`^${field}: +(\\d+) kB$`, "m").exec(text)![1]) * 1024 / 1e6;
}

function contextSwitches(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => {
    const text = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
    const counts = [...text.matchAll(/ctxt_switches:\s+(\d+)/g)].map(([, count]) => Number(count));
    return sum + counts.reduce((all, count) => all + count, 0);
  }, 0);
}
