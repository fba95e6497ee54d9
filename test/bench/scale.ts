/**
 * Many devices: a thousand of a hundred guests at once, and what one more costs when there are many.
 * Native, all disks of one block device that is only read: what is measured is the daemon. On the C
 * xenstored, which needs more time itself when many have just been made, and on the embedded store,
 * which does not. Each number of devices has a store and a daemon of its own, and they are measured in turns.
 * Needs root and Debian's packages.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backendRoot } from "../../core/xen/device_id.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { explainMissing, xenstoredPackages } from "../real/requirements.ts";
import { runProgram } from "../support/daemon_process.ts";
import type { HandMadeDevice } from "../support/hand_made.ts";
import { cpuMs, residentMb, rest, threadsMs, writtenBytes } from "./process_cost.ts";
import type { Benchmark, Result } from "./result.ts";
import {
  DRIVER,
  Farm,
  GUESTS,
  type Site,
  startC,
  startEmbedded,
  type StartStore,
} from "./scale_farm.ts";
import { summarise } from "./statistics.ts";

const STORM = 1_000;
/** How many there are when one more is measured. */
const POPULATIONS = [10, 100, 1_000, 5_000];
/** Attaches that are measured at each. */
const SAMPLES = 100;
/** The first of those that follow when all have just been made. */
const FIRST = 50;
/**
 * Attaches, each with its removal, that precede the others. Until then the C xenstored takes longer for
 * any request when thousands of nodes have just been made (docs/protocol-notes.md).
 */
const UNTIL_SETTLED = 150;
/**
 * Devices that each daemon has attached and removed before anything is measured, so that what is
 * compiled only after many is compiled for the first population as well.
 */
const WARM_UP = 1_000;

/** The benchmark. */
export const scale: Benchmark = async () => {
  const missing = explainMissing("bench scale", {
    packages: [...xenstoredPackages, "mount"],
    root: true,
  });
  if (missing !== null) throw new Error(missing);
  const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-bench-"));
  const image = join(directory, "image");
  fs.writeFileSync(image, new Uint8Array(64 * 1024));
  const loop = execFileSync("losetup", ["--read-only", "--find", "--show", image], {
    encoding: "utf8",
  }).trim();
  const config = join(directory, "config.toml");
  fs.writeFileSync(config, '[plugins.vbd.settings]\nnative = "always"\n', { mode: 0o644 });
  const site = { directory, config, loop };
  try {
    return [
      await Farm.with(site, startC, "storm", storm),
      ...await growth(site, "C xenstored", startC),
      ...await growth(site, "embedded store", startEmbedded),
    ];
  } finally {
    execFileSync("losetup", ["-d", loop]);
    fs.rmSync(directory, { recursive: true });
  }
};

/** A thousand at once. */
async function storm(farm: Farm): Promise<Result> {
  const devices = await farm.make(0, STORM);
  const [start, before] = [performance.now(), cpuMs(farm.pid)];
  await farm.attach(devices);
  const [took, spent] = [performance.now() - start, cpuMs(farm.pid) - before];
  return {
    what: `${STORM} devices of ${GUESTS} guests at once, none lost`,
    unit: "ms",
    subjects: {
      "until all are connected": summarise([took]),
      "processor time": summarise([spent]),
    },
  };
}

/** What is measured of one more device, by what it is called, and in what unit. */
const OF_ONE = {
  latency: ["until one more device is connected", "ms"],
  alone: ["requests like those of one device, without a daemon", "ms"],
  byDaemon: ["the daemon's processor time until then", "ms"],
  byStore: ["the store's processor time until then", "ms"],
  withRemoval: ["the daemon's processor time, with its removal", "ms"],
  written: ["what the daemon writes for it and its removal: requests, records, log", "bytes"],
} as const;

/** The same of the first of them. */
const OF_FIRST = {
  latency: ["until one more device is connected, when all have just been made", "ms"],
  alone: [
    "requests like those of one device, without a daemon, when all have just been made",
    "ms",
  ],
} as const;

/** What is measured of all. */
const OF_ALL = {
  look: ["the daemon's processor time for a look at all, every 45 s", "ms"],
  memory: ["the daemon's resident memory", "MB"],
  status: ["xdevd status, until it has told of all", "ms"],
} as const;

type OfOne = Record<keyof typeof OF_ONE, number>;
type OfAll = Record<keyof typeof OF_ALL, number>;

/** One more, when there are so many. */
async function growth(site: Site, name: string, start: StartStore): Promise<Result[]> {
  return await withFarms(site, name, start, POPULATIONS, async (farms) => {
    const first = await takeTurns(farms, FIRST);
    await takeTurns(farms, UNTIL_SETTLED - FIRST);
    const settled = await takeTurns(farms, SAMPLES);
    const all: OfAll[] = [];
    for (const farm of farms) all.push(await lookAtAll(farm));
    return [
      ...results(name, OF_ONE, settled),
      ...results(name, OF_FIRST, first),
      ...results(name, OF_ALL, [all]),
    ];
  });
}

/** One more on each farm, and again. @returns what was measured, by round and farm */
async function takeTurns(farms: readonly Farm[], count: number): Promise<OfOne[][]> {
  const rounds: OfOne[][] = [];
  for (let round = 0; round < count; round++) {
    const values: OfOne[] = [];
    for (const [index, farm] of farms.entries()) {
      values.push(await oneMore(farm, POPULATIONS[index]! + round));
    }
    // Less than nothing is where a thread has ended, and with it its count.
    const counted = values.flatMap((of) => [of.byDaemon, of.byStore, of.withRemoval]);
    if (counted.every((ms) => ms > 0)) rounds.push(values);
  }
  return rounds;
}

/** Runs the work with a farm for each population, which it has by then. */
async function withFarms<T>(
  site: Site,
  name: string,
  start: StartStore,
  populations: readonly number[],
  work: (farms: readonly Farm[]) => Promise<T>,
): Promise<T> {
  const [population, ...others] = populations;
  if (population === undefined) return await work([]);
  return await Farm.with(
    site,
    start,
    `${name.replaceAll(" ", "-")}-${population}`,
    async (farm) => {
      const first: HandMadeDevice[] = [];
      await farm.makeUp(first, WARM_UP);
      await farm.remove(first.splice(0));
      await farm.makeUp(first, population);
      return await withFarms(site, name, start, others, (more) => work([farm, ...more]));
    },
  );
}

function results<Name extends string>(
  store: string,
  names: Readonly<Record<Name, readonly [what: string, unit: string]>>,
  rounds: readonly (readonly Readonly<Record<NoInfer<Name>, number>>[])[],
): Result[] {
  return (Object.keys(names) as Name[]).map((name) => ({
    what: `${store}: ${names[name][0]}`,
    unit: names[name][1],
    subjects: Object.fromEntries(POPULATIONS.map((population, index) => [
      `with ${population} devices`,
      summarise(rounds.map((values) => values[index]![name])),
    ])),
    along: { what: "devices", at: POPULATIONS },
  }));
}

/** Attaches one more and removes it. */
async function oneMore(farm: Farm, number: number): Promise<OfOne> {
  const { pid, store } = farm;
  const [device] = await farm.make(number, 1);
  const writtenBefore = writtenBytes(pid);
  const before = [threadsMs(pid), threadsMs(store.pid)];
  const start = performance.now();
  await farm.attach([device!]);
  const latency = performance.now() - start;
  const after = [threadsMs(pid), threadsMs(store.pid)];
  await farm.remove([device!]);
  const alone = await requestsAlone(farm.dom0, Farm.guestOf(number));
  const [byDaemon, byStore] = after.map((ms, which) => ms - before[which]!);
  return {
    latency,
    alone,
    byDaemon: byDaemon!,
    byStore: byStore!,
    withRemoval: threadsMs(pid) - before[0]!,
    written: writtenBytes(pid) - writtenBefore,
  };
}

/** Has everything looked at, by an event for what is above all devices, as the clock does. */
async function lookAtAll({ pid, dom0, runDir }: Farm): Promise<OfAll> {
  await rest(pid);
  const before = cpuMs(pid);
  await dom0.write(backendRoot(DRIVER), "");
  await rest(pid);
  const [look, memory] = [cpuMs(pid) - before, residentMb(pid)];
  const start = performance.now();
  const { code } = await runProgram(["status", "--run-dir", runDir], {}, 60_000);
  if (code !== 0) throw new Error(`xdevd status ends with ${code}`);
  return { look, memory, status: performance.now() - start };
}

/**
 * What the store alone needs for as many requests as the daemon makes for one device, and of the same
 * kinds: two looks at its nodes, the mark between them, the results in a transaction.
 * @returns how long it took, in ms
 */
async function requestsAlone(dom0: StoreClient, domid: number): Promise<number> {
  const directory = `/local/domain/${domid}/data/bench`;
  const names = ["state", "online", "frontend", "frontend-id", "params", "mode", "type", "script"];
  const results = ["physical-device", "physical-device-path", "node", "hotplug-status"];
  for (const name of names) await dom0.write(`${directory}/${name}`, "2");
  const start = performance.now();
  const readAll = () => Promise.all(names.map((name) => dom0.readText(`${directory}/${name}`)));
  await readAll();
  await dom0.write(`${directory}/mark`, crypto.randomUUID());
  await readAll();
  await dom0.transaction(async (t) => {
    await Promise.all([
      t.readText(`${directory}/mark`),
      ...results.map((name) => t.write(`${directory}/${name}`, "connected")),
    ]);
  });
  const took = performance.now() - start;
  await dom0.remove(directory);
  return took;
}
