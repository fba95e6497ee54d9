/**
 * Our store client beside libxenstore, on the same real C xenstored, in turns; and the embedded
 * server beside the C daemon, both asked by our client. Needs root and Debian's packages.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { explainMissing, xenstoredPackages } from "../real/requirements.ts";
import { startXenstored } from "../real/xenstored.ts";
import { connectTo } from "../support/store_connection.ts";
import type { Benchmark, Result } from "./run.ts";
import { summarise } from "./statistics.ts";

const ROUNDS = 12;
/** So many that a processor's warming up, and being given one, matters little. */
const COUNT = 20_000;
const WATCHES = 1_000;
/** Requests under way at a time, where they are pipelined. */
const IN_FLIGHT = 64;

const WORK = ["read", "write", "transaction", "watch"] as const;
type Work = typeof WORK[number];
type Series = Record<string, number[]>;

/** The benchmark. */
export const store: Benchmark = async () => {
  const missing = explainMissing("bench store", {
    packages: [...xenstoredPackages, "libxen-dev", "gcc", "libc6-dev"],
    root: true,
  });
  if (missing !== null) throw new Error(missing);
  const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-bench-"));
  const peer = join(directory, "peer");
  const source = join(import.meta.dir, "peers", "libxenstore.c");
  execFileSync("gcc", ["-O2", "-o", peer, source, "-lxenstore"]);
  // Domain 0 has no quotas, but for the number of its watches.
  const server = await startXenstored({ domains: [], args: ["--watch-nb", "10000"] });
  const client = await connectTo(server.socketPath(0));
  const series: Record<Work, Series> = { read: {}, write: {}, transaction: {}, watch: {} };
  const add = (work: Work, subject: string, us: number) => {
    (series[work][subject] ??= []).push(us);
  };
  try {
    for (let round = -1; round < ROUNDS; round++) {
      const env = { ...process.env, XENSTORED_PATH: server.socketPath(0) };
      const args = [String(COUNT), String(WATCHES)];
      const printed = execFileSync(peer, args, { env, encoding: "utf8" });
      const ours = await measure(client);
      if (round < 0) continue;
      for (const line of printed.trim().split("\n")) {
        const [work, us] = line.split(" ") as [Work, string];
        add(work, "libxenstore", Number(us));
      }
      for (const [work, subject, us] of ours) add(work, subject, us);
    }
  } finally {
    client.close();
    await server.stop();
    fs.rmSync(directory, { recursive: true });
  }
  return WORK.map((work): Result => ({
    what: `C xenstored: a ${work}`,
    unit: "µs",
    subjects: Object.fromEntries(
      Object.entries(series[work]).map(([subject, values]) => [subject, summarise(values)]),
    ),
  }));
};

const BASE = "/bench/ours";

async function measure(client: StoreClient): Promise<[Work, string, number][]> {
  for (let number = 0; number < 100; number++) await client.write(`${BASE}/${number}`, "value");
  const results: [Work, string, number][] = [];
  const path = (number: number) => `${BASE}/${number % 100}`;
  const time = async (work: Work, subject: string, count: number, run: () => Promise<void>) => {
    const start = performance.now();
    await run();
    results.push([work, subject, (performance.now() - start) * 1000 / count]);
  };
  const read = async (number: number) => void await client.read(path(number));
  const write = (number: number) => client.write(path(number), "value");
  const transaction = (number: number) =>
    client.transaction(async (t) => {
      await Promise.all([t.read(path(number)), t.write(path(number), "other")]);
    });
  await time("read", "xdevd, one after the other", COUNT, () => inTurn(COUNT, read));
  await time("read", "xdevd, pipelined", COUNT, () => pipelined(COUNT, read));
  await time("write", "xdevd, one after the other", COUNT, () => inTurn(COUNT, write));
  await time("write", "xdevd, pipelined", COUNT, () => pipelined(COUNT, write));
  const fewer = COUNT / 20;
  await time("transaction", "xdevd", fewer, () => inTurn(fewer, transaction));
  await time("watch", "xdevd, pipelined", WATCHES, () => watchMany(client));
  return results;
}

async function inTurn(count: number, work: (number: number) => Promise<void>): Promise<void> {
  for (let number = 0; number < count; number++) await work(number);
}

async function pipelined(count: number, work: (number: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (next < count) await work(next++);
  }));
}

/** Sets them all and waits for the first event of each. */
async function watchMany(client: StoreClient): Promise<void> {
  let left = WATCHES;
  const { promise, resolve } = Promise.withResolvers<void>();
  const watches = await Promise.all(Array.from({ length: WATCHES }, (_, number) => {
    let fired = false;
    return client.watch(`${BASE}/${number}`, () => {
      if (fired) return;
      fired = true;
      if (--left === 0) resolve();
    });
  }));
  await promise;
  // Not part of what is measured on the other side, where the connection's end does it.
  Promise.all(watches.map((watch) => watch.close())).catch(() => {});
}
