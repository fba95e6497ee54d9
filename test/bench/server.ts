/**
 * The embedded store server beside Debian's C xenstored, each a process of its own, in turns; asked
 * by libxenstore, one request after the other, and by our client, many at a time. Domain 0, for
 * which neither has quotas but for the number of watches. Needs root and Debian's packages.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { socketPath } from "../../simulation/xenstored/listen.ts";
import { explainMissing, xenstoredPackages } from "../real/requirements.ts";
import { startXenstored } from "../real/xenstored.ts";
import { programCommand, until } from "../support/daemon_process.ts";
import { connectTo } from "../support/store_connection.ts";
import { compilePeer, compilerPackages } from "./compile_peer.ts";
import type { Benchmark, Result } from "./result.ts";
import { summarise } from "./statistics.ts";
import { microseconds, pipelined, watchMany } from "./store_work.ts";

const ROUNDS = 12;
/** Rounds before those that count: the embedded server's code is compiled as it is used. */
const WARM_UP = 3;
const COUNT = 4_000;
const WATCHES = 1_000;

/** What is measured: by the name that the measuring prints, in words. */
const WORK = {
  read: "libxenstore, one after the other: a read",
  write: "libxenstore, one after the other: a write",
  transaction: "libxenstore: a transaction with a read and a write",
  watch: `libxenstore: one of ${WATCHES} watches, until its first event`,
  watched: `libxenstore: a write while there are ${WATCHES} watches on other nodes`,
  create: `libxenstore: a new node in a directory, of ${COUNT / 4}`,
  "pipelined read": "our client, 64 under way: a read",
  "pipelined write": "our client, 64 under way: a write",
  "pipelined transaction": "our client: a transaction with a read and a write",
  "pipelined watch": `our client: one of ${WATCHES} watches at once, until its first event`,
} as const;
type Work = keyof typeof WORK;

/** A server that is measured. */
interface Subject {
  readonly name: string;
  readonly socket: string;
  readonly client: StoreClient;
  readonly series: Map<Work, number[]>;
}

/** The benchmark. */
export const server: Benchmark = async () => {
  const missing = explainMissing("bench server", {
    packages: [...xenstoredPackages, ...compilerPackages],
    root: true,
  });
  if (missing !== null) throw new Error(missing);
  const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-bench-"));
  const peer = compilePeer("libxenstore", directory, "-lxenstore");
  const c = await startXenstored({ domains: [], args: ["--watch-nb", "10000"] });
  const ours = await startEmbedded(join(directory, "store"));
  const subjects: Subject[] = [];
  try {
    for (const [name, socket] of [["C xenstored", c.socketPath(0)], ["embedded", ours.socket]]) {
      const client = await connectTo(socket!);
      subjects.push({ name: name!, socket: socket!, client, series: new Map() });
    }
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      for (const subject of subjects) {
        const measured = [...byLibxenstore(peer, subject.socket), ...await byClient(subject)];
        if (round < 0) continue;
        for (const [work, us] of measured) {
          subject.series.set(work, [...subject.series.get(work) ?? [], us]);
        }
      }
    }
  } finally {
    for (const { client } of subjects) client.close();
    await ours.stop();
    await c.stop();
    fs.rmSync(directory, { recursive: true });
  }
  return Object.entries(WORK).map(([work, what]): Result => ({
    what,
    unit: "µs",
    subjects: Object.fromEntries(
      subjects.map(({ name, series }) => [name, summarise(series.get(work as Work) ?? [])]),
    ),
  }));
};

/** Starts `xdevd xenstored`. */
async function startEmbedded(dir: string): Promise<{ socket: string; stop(): Promise<void> }> {
  const [file, ...before] = programCommand();
  const child = spawn(file, [...before, "xenstored", "--dir", dir], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const exited = once(child, "exit");
  const stop = async () => {
    child.kill();
    await exited;
  };
  const socket = socketPath(dir, 0);
  try {
    await until(() => fs.existsSync(socket), () => `there is no ${socket}`);
  } catch (error) {
    await stop();
    throw error;
  }
  return { socket, stop };
}

function byLibxenstore(peer: string, socket: string): [Work, number][] {
  const env = { ...process.env, XENSTORED_PATH: socket };
  const args = [String(COUNT), String(WATCHES), "more"];
  const printed = execFileSync(peer, args, { env, encoding: "utf8" });
  return printed.trim().split("\n").map((line) => {
    const [work, us] = line.split(" ") as [Work, string];
    return [work, Number(us)];
  });
}

const BASE = "/bench/ours";

async function byClient({ client }: Subject): Promise<[Work, number][]> {
  for (let number = 0; number < 100; number++) await client.write(`${BASE}/${number}`, "value");
  const path = (number: number) => `${BASE}/${number % 100}`;
  const read = async (number: number) => void await client.read(path(number));
  const write = (number: number) => client.write(path(number), "value");
  const transaction = (number: number) =>
    client.transaction(async (t) => {
      await Promise.all([t.read(path(number)), t.write(path(number), "other")]);
    });
  const few = COUNT / 10;
  const reads = await microseconds(COUNT, () => pipelined(COUNT, read));
  const writes = await microseconds(COUNT, () => pipelined(COUNT, write));
  const transactions = await microseconds(few, () => pipelined(few, transaction));
  let unwatch = async () => {};
  const watches = await microseconds(WATCHES, async () => {
    unwatch = await watchMany(client, BASE, WATCHES);
  });
  await unwatch();
  return [
    ["pipelined read", reads],
    ["pipelined write", writes],
    ["pipelined transaction", transactions],
    ["pipelined watch", watches],
  ];
}
