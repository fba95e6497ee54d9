/**
 * Many devices: a thousand of a hundred guests at once, and what one more costs when there are many.
 * Native, all disks of one block device that is only read: what is measured is the daemon. On the C
 * xenstored, which needs more time itself the more there are, and on the embedded store, which does
 * not. Needs root and Debian's packages.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backendRoot } from "../../core/device/id.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { explainMissing, xenstoredPackages } from "../real/requirements.ts";
import { socketPath } from "../../core/xenstored/listen.ts";
import { startXenstored } from "../real/xenstored.ts";
import { DaemonProcess } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import type { Benchmark, Result } from "./run.ts";
import { summarise } from "./statistics.ts";

const DRIVER = 1;
const GUESTS = 100;
const FIRST_GUEST = 10;
const STORM = 1_000;
/** How many there are when one more is measured. */
const POPULATIONS = [10, 100, 1_000, 5_000];
/** Attaches that are measured at each. */
const SAMPLES = 60;
/** Devices that are made at a time. */
const BATCH = 100;

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
  const guests = Array.from({ length: GUESTS }, (_, number) => FIRST_GUEST + number);
  const domains = [DRIVER, ...guests];
  const onStore = async (
    store: Store,
    work: (farm: Farm) => Promise<Result[]>,
  ): Promise<Result[]> => {
    try {
      const dom0 = await connectTo(store.socketPath(0));
      try {
        for (const domid of domains) await makeDomain(dom0, domid);
        return await work({ directory, config, loop, guests, store, dom0 });
      } finally {
        dom0.close();
      }
    } finally {
      await store.stop();
    }
  };
  // Its quotas of a domain, 1000 nodes and 2 MB, are for less than 100, and less than 2000 disks.
  const args = ["--entry-nb", "1000000", "--quota", "memory=1000000000"];
  try {
    return [
      ...await onStore(
        { name: "C xenstored", ...await startC(domains, args) },
        async (farm) => [await storm(farm), ...await growth(farm)],
      ),
      ...await onStore(await startEmbedded(join(directory, "store"), domains), growth),
    ];
  } finally {
    execFileSync("losetup", ["-d", loop]);
    fs.rmSync(directory, { recursive: true });
  }
};

/** A store that is measured on. */
interface Store {
  readonly name: string;
  readonly pid: number;
  socketPath(domid: number): string;
  stop(): Promise<void>;
}

async function startC(domains: readonly number[], args: readonly string[]) {
  const store = await startXenstored({ domains, args });
  return {
    pid: store.pid,
    socketPath: (domid: number) => store.socketPath(domid),
    stop: () => store.stop(),
  };
}

async function startEmbedded(directory: string, domains: readonly number[]): Promise<Store> {
  const program = join(import.meta.dir, "wide_store.ts");
  const child = spawn(process.execPath, [program, directory, ...domains.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const stop = async () => {
    child.kill();
    await exited;
  };
  const ready = once(child.stdout, "data");
  await Promise.race([ready, exited.then(() => Promise.reject(new Error("no embedded store")))]);
  return {
    name: "embedded store",
    pid: child.pid!,
    socketPath: (domid) => socketPath(directory, domid),
    stop,
  };
}

interface Farm {
  readonly directory: string;
  readonly config: string;
  readonly loop: string;
  readonly guests: readonly number[];
  readonly store: Store;
  readonly dom0: StoreClient;
}

async function withDaemon<T>(
  farm: Farm,
  name: string,
  work: (daemon: DaemonProcess) => Promise<T>,
) {
  const daemon = await DaemonProcess.start([
    ...["--store", farm.store.socketPath(DRIVER), "--run-dir", join(farm.directory, name)],
    // Of a thousand, the first are made long before the last. And what is done every 45 s for all
    // is measured by itself: into which population's samples it falls is chance. So it is with the
    // check every 5 s, of 100 devices at most.
    ...["--config", farm.config, "--time", "initWait=600"],
    ...["--time", "resync=3600", "--time", "check=3600"],
  ], { quiet: true });
  try {
    return await work(daemon);
  } finally {
    await daemon.stop();
  }
}

/** A thousand at once. */
async function storm(farm: Farm): Promise<Result> {
  return await withDaemon(farm, "storm", async (daemon) => {
    const devices = await make(farm, 0, STORM);
    const [start, before] = [performance.now(), cpuMs(daemon.pid)];
    await attachAll(farm, devices);
    const [took, spent] = [performance.now() - start, cpuMs(daemon.pid) - before];
    await removeAll(devices);
    return {
      what: `${STORM} devices of ${GUESTS} guests at once, none lost`,
      unit: "ms",
      subjects: {
        "until all are connected": summarise([took]),
        "processor time": summarise([spent]),
      },
    };
  });
}

/** One more, when there are so many. */
async function growth(farm: Farm): Promise<Result[]> {
  const { store } = farm;
  return await withDaemon(farm, `growth-${store.pid}`, async (daemon) => {
    const all: HandMadeDevice[] = [];
    const [latencies, costs]: Record<string, number[]>[] = [{}, {}];
    const [daemonTimes, storeTimes, work]: Record<string, number[]>[] = [{}, {}, {}];
    const [memory, looks, requests]: Record<string, number[]>[] = [{}, {}, {}];
    const one = async (number: number) => {
      const [device] = await make(farm, number, 1);
      const before = [threadsMs(daemon.pid), threadsMs(store.pid)];
      const start = performance.now();
      await attachAll(farm, [device!]);
      const took = performance.now() - start;
      const after = [threadsMs(daemon.pid), threadsMs(store.pid)];
      await removeAll([device!]);
      const [byDaemon, byStore] = after.map((ms, which) => ms - before[which]!);
      return { took, byDaemon: byDaemon!, byStore: byStore! };
    };
    // All are made once and removed again before anything is measured: what is compiled by the time
    // that there are so many is compiled for the first population as well.
    await removeAll(await makeUp(farm, [], POPULATIONS.at(-1)!));
    for (const population of POPULATIONS) {
      await makeUp(farm, all, population);
      const name = `with ${population} devices`;
      const series: number[] = latencies![name] = [];
      const [byDaemon, byStore]: number[][] = [daemonTimes![name] = [], storeTimes![name] = []];
      await rest(daemon.pid);
      const before = cpuMs(daemon.pid);
      const written: number[] = work![name] = [];
      for (let sample = 0; sample < SAMPLES; sample++) {
        const writtenBefore = writtenBytes(daemon.pid);
        const measured = await one(population + sample);
        written.push(writtenBytes(daemon.pid) - writtenBefore);
        series.push(measured.took);
        // Less than nothing is where a thread has ended, and with it its count.
        if (measured.byDaemon > 0) byDaemon!.push(measured.byDaemon);
        if (measured.byStore > 0) byStore!.push(measured.byStore);
      }
      costs![name] = [(cpuMs(daemon.pid) - before) / SAMPLES];
      const alone: number[] = requests![name] = [];
      for (let sample = 0; sample < SAMPLES; sample++) {
        alone.push(await requestsAlone(farm.dom0, farm.guests[sample % farm.guests.length]!));
      }
      await rest(daemon.pid);
      const beforeLook = cpuMs(daemon.pid);
      // An event for what is above all devices has them looked at, as the clock does.
      await farm.dom0.write(backendRoot(DRIVER), "");
      await rest(daemon.pid);
      looks![name] = [cpuMs(daemon.pid) - beforeLook];
      memory![name] = [residentMb(daemon.pid)];
    }
    await removeAll(all);
    const result = (what: string, unit: string, series: Record<string, number[]>): Result => ({
      what: `${store.name}: ${what}`,
      unit,
      subjects: Object.fromEntries(
        Object.entries(series).map(([name, values]) => [name, summarise(values)]),
      ),
      along: { what: "devices", at: POPULATIONS },
    });
    return [
      result("until one more device is connected", "ms", latencies!),
      result("requests like those of one device, without a daemon", "ms", requests!),
      result("the daemon's processor time until then", "ms", daemonTimes!),
      result("the store's processor time until then", "ms", storeTimes!),
      result("the daemon's processor time, with its removal", "ms", costs!),
      result(
        "what the daemon writes for it and its removal: requests, records, log",
        "bytes",
        work!,
      ),
      result("the daemon's processor time for a look at all, every 45 s", "ms", looks!),
      result("the daemon's resident memory", "MB", memory!),
    ];
  });
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

/** Makes and attaches as many as are missing. @returns all of them */
async function makeUp(farm: Farm, all: HandMadeDevice[], count: number) {
  while (all.length < count) {
    const batch = await make(farm, all.length, Math.min(BATCH, count - all.length));
    await attachAll(farm, batch);
    all.push(...batch);
  }
  return all;
}

async function make(farm: Farm, first: number, count: number): Promise<HandMadeDevice[]> {
  const { dom0, guests, loop } = farm;
  const devices: HandMadeDevice[] = [];
  // One after the other: transactions on the same directories would only be in each other's way.
  for (let number = first; number < first + count; number++) {
    const frontendDomid = guests[number % guests.length]!;
    const devid = 51712 + Math.floor(number / guests.length);
    const device = new HandMadeDevice(dom0, {
      backendDomid: DRIVER,
      kind: "vbd",
      frontendDomid,
      devid,
    });
    await device.create({ script: "/etc/xen/scripts/block", params: loop, mode: "r" });
    devices.push(device);
  }
  return devices;
}

/** The kernel's part; resolves when all are connected, which none may miss. */
async function attachAll({ dom0 }: Farm, devices: readonly HandMadeDevice[]): Promise<void> {
  await Promise.all(devices.map(async (device) => {
    const status = await new Promise<string | undefined>((resolve, reject) => {
      dom0.waitUntil(`${device.backend}/hotplug-status`, (value) => value !== undefined, {
        timeoutMs: 120_000,
      }).then(resolve, reject);
      device.write("state", "2").catch(reject);
    });
    if (status === "connected") return;
    throw new Error(`${device.backend}: ${status}: ${await device.read("hotplug-error")}`);
  }));
}

async function removeAll(devices: readonly HandMadeDevice[]): Promise<void> {
  for (let at = 0; at < devices.length; at += BATCH) {
    const batch = devices.slice(at, at + BATCH);
    await Promise.all(batch.map((device) => device.detach()));
    await Promise.all(
      batch.map(({ backend, dom0 }) =>
        dom0.waitUntil(backend, (value) => value === undefined, { timeoutMs: 60_000 })
      ),
    );
    // As libxl does. What was left of thousands would be in the C xenstored's way from then on.
    await Promise.all(batch.map(({ frontend, dom0 }) => dom0.remove(frontend)));
  }
}

/** Waits until a process does next to nothing, no longer than 20 s. */
async function rest(pid: number): Promise<void> {
  for (let tries = 0; tries < 40; tries++) {
    const before = cpuMs(pid);
    await new Promise((resolve) => setTimeout(resolve, 500));
    if (cpuMs(pid) - before <= 10) return;
  }
}

/** Processor time, in ms, to 10 ms. */
function cpuMs(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  // utime and stime, in hundredths of a second (proc(5)).
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/**
 * Processor time of the threads that there are, in ms, to the microsecond (the first number of their
 * `schedstat` is in ns). One that ends takes its own with it.
 */
function threadsMs(pid: number): number {
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
function writtenBytes(pid: number): number {
  return Number(/wchar: (\d+)/.exec(fs.readFileSync(`/proc/${pid}/io`, "utf8"))![1]);
}

function residentMb(pid: number): number {
  const text = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(text)![1]) / 1024;
}
