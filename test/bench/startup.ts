/**
 * How long commands take from their start to their end, of both binaries, beside a program that does nothing, compiled
 * with the full one's options; and `xenstore-read` beside Xen's own, where that is installed. In turns.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compilePeer, compileSubjects } from "./compiled.ts";
import type { Benchmark, Result } from "./result.ts";
import { summarise } from "./statistics.ts";

const ROUNDS = 60;
/** Rounds before those that count: the files come into the page cache. */
const WARM_UP = 3;
/** How long the store has to begin, in ms. */
const PATIENCE_MS = 5_000;
const NODE = "/bench/node";
const THEIRS = "/usr/bin/xenstore-read";

/** The benchmark. */
export const startup: Benchmark = async () => {
  const directory = mkdtempSync(join(tmpdir(), "xdevd-bench-"));
  try {
    const empty = await compilePeer("nothing", directory);
    const subjects = compileSubjects(directory);
    const small = subjects[0]!.file;
    const commands = (words: string, ...args: readonly string[]) =>
      Object.fromEntries(subjects.map(({ name, file }) => [`${name} ${words}`, [file, ...args]]));
    const server = Bun.spawn([small, "xenstored", "--dir", directory], {
      stdout: "ignore",
      stderr: "ignore",
    });
    try {
      const socket = join(directory, "socket");
      const env = { PATH: "/usr/bin:/bin", XENSTORED_PATH: socket };
      await untilServed(small, env);
      return [
        ...inTurns("a command, from start to end", env, {
          "a program on Bun that does nothing": [empty],
          ...commands("--version", "--version"),
          ...commands("--help", "--help"),
          ...commands("store read", "store", "read", "--store", socket, NODE),
        }),
        ...inTurns("a node is read, from start to end", env, {
          ...(existsSync(THEIRS) ? { "xenstore-read of Xen": [THEIRS, NODE] } : {}),
          ...Object.fromEntries(
            subjects.map(({ name, file }) => [
              `xenstore-read of ${name}`,
              [file, "xenstore-read", NODE],
            ]),
          ),
        }),
      ];
    } finally {
      server.kill();
      await server.exited;
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
};

type Environment = Record<string, string>;

async function untilServed(xdevd: string, env: Environment): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (Bun.spawnSync([xdevd, "xenstore-write", NODE, "value"], { env }).exitCode !== 0) {
    if (performance.now() > end) throw new Error("there is no store to read from");
    await Bun.sleep(20);
  }
}

/** Elapsed time, and the processors' time. */
function inTurns(
  what: string,
  env: Environment,
  commands: Readonly<Record<string, readonly string[]>>,
): Result[] {
  const elapsed: Record<string, number[]> = {};
  const spent: Record<string, number[]> = {};
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const [name, argv] of Object.entries(commands)) {
      const start = performance.now();
      const { exitCode, resourceUsage } = Bun.spawnSync([...argv], {
        env,
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
      });
      const ms = performance.now() - start;
      if (exitCode !== 0) throw new Error(`${argv.join(" ")} exited with ${exitCode}`);
      if (round < 0) continue;
      (elapsed[name] ??= []).push(ms);
      // Microseconds.
      (spent[name] ??= []).push(Number(resourceUsage.cpuTime.total) / 1000);
    }
  }
  const result = (words: string, series: Record<string, number[]>): Result => ({
    what: words,
    unit: "ms",
    subjects: Object.fromEntries(
      Object.entries(series).map(([name, values]) => [name, summarise(values)]),
    ),
  });
  return [result(what, elapsed), result(`${what}: processor time`, spent)];
}
