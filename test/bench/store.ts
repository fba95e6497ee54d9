/**
 * Our store client beside libxenstore, on the same real C xenstored, in turns. Needs root and
 * Debian's packages.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { explainMissing, xenstoredPackages } from "../real/requirements.ts";
import { startXenstored } from "../real/xenstored.ts";
import { connectTo } from "../support/store_connection.ts";
import { compilePeer, compilerPackages } from "./compile_peer.ts";
import type { Benchmark, Result } from "./result.ts";
import { summarise } from "./statistics.ts";
import { inTurn, microseconds, pipelined, watchMany } from "./store_work.ts";

const ROUNDS = 12;
/** So many that a processor's warming up, and being given one, matters little. */
const COUNT = 20_000;
const WATCHES = 1_000;

const WORK = ["read", "write", "transaction", "watch"] as const;
type Work = typeof WORK[number];
type Series = Record<string, number[]>;

/** The benchmark. */
export const store: Benchmark = async () => {
  const missing = explainMissing("bench store", {
    packages: [...xenstoredPackages, ...compilerPackages],
    root: true,
  });
  if (missing !== null) throw new Error(missing);
  const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-bench-"));
  const peer = compilePeer("libxenstore", directory, "-lxenstore");
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
    results.push([work, subject, await microseconds(count, run)]);
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
  await time("watch", "xdevd, pipelined", WATCHES, async () => {
    const end = await watchMany(client, BASE, WATCHES);
    // Not part of what is measured on the other side, where the connection's end does it.
    end().catch(() => {});
  });
  return results;
}
