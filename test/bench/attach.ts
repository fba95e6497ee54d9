/**
 * From the kernel's state 2 to `hotplug-status` connected, by Debian's scripts and without them: daemons of
 * either binary, on one real xenstored, in turns; and the processor's time for an attach and a detach. Needs
 * root and Debian's packages.
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { explainMissing, xenstoredPackages } from "../real/requirements.ts";
import { startXenstored } from "../real/xenstored.ts";
import { DeadStorage } from "../support/dead_storage/dead_storage.ts";
import { DaemonProcess } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { compileSubjects, type Subject } from "./compiled.ts";
import type { Benchmark, Result } from "./result.ts";
import { summarise, type Summary } from "./statistics.ts";

const GUEST = 7;
const FIRST_DOMID = 101;
const ROUNDS = 80;
/** Rounds before those that count: a daemon's code is compiled as it is used. */
const WARM_UP = 30;
/** What a kernel backend's driver takes to come to state 2, in ms: it is never there at once. */
const KERNEL_MS = 5;
const AT_ONCE = 200;
const UNLUCKY_DISKS = 2;
const IMAGE_BYTES = 64 * 1024;
/** How long their server lives: it is asked last. In s. */
const LIFE_S = 1_800;
const GUESTS_AT_ONCE = 20;

/** Who serves a driver domain, and by what. */
interface Server {
  /** As `native, full`. */
  readonly way: string;
  readonly domid: number;
  readonly native: boolean;
  readonly binary: string;
}

function serversOf(subjects: readonly Subject[]): Server[] {
  return subjects.flatMap(({ suffix, file }, index) =>
    [false, true].map((native, second) => ({
      way: `${native ? "native" : "script"}${suffix}`,
      domid: FIRST_DOMID + 2 * index + second,
      native,
      binary: file,
    }))
  );
}

/** The benchmark. */
export const attach: Benchmark = async () => {
  const missing = explainMissing("bench attach", {
    packages: [...xenstoredPackages, "xen-utils-common", "mount", "iproute2"],
    root: true,
  });
  if (missing !== null) throw new Error(missing);
  const guests = Array.from({ length: GUESTS_AT_ONCE }, (_, number) => 10 + number);
  const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-bench-"));
  const servers = serversOf(compileSubjects(directory));
  const domains = [...servers.map(({ domid }) => domid), GUEST, ...guests];
  // Its quota of 1000 nodes a domain is for less than 100 disks.
  const store = await startXenstored({ domains, args: ["--entry-nb", "100000"] });
  const dom0 = await connectTo(store.socketPath(0));
  // In memory, as a machine's /run is.
  const runDirectory = fs.mkdtempSync("/dev/shm/xdevd-bench-");
  const daemons: DaemonProcess[] = [];
  // Before the daemons are: they have mounts of their own.
  const storage = await DeadStorage.start(2 * UNLUCKY_DISKS, IMAGE_BYTES, LIFE_S);
  try {
    for (const domid of domains) await makeDomain(dom0, domid);
    for (const server of servers) {
      const socket = store.socketPath(server.domid);
      daemons.push(await startDaemon(directory, runDirectory, server, socket));
    }
    return [
      ...await inTurns("vbd: a file", dom0, servers, daemons, (domid, round) => {
        const path = image(directory, `disk-${domid}-${round}`);
        return disk(dom0, domid, GUEST, 51712 + 16 * round, path);
      }),
      ...await inTurns("vif: a bridge", dom0, servers, daemons, (domid) => nic(dom0, domid)),
      // Of these sources alone.
      ...servers.length > 4 ? [] : [
        await atOnce(dom0, directory, guests, servers[1]!),
        await besideDead(dom0, storage, directory, guests[0]!, servers[1]!),
      ],
    ];
  } finally {
    await storage.end();
    for (const daemon of daemons) await daemon.stop();
    dom0.close();
    await store.stop();
    for (const path of [directory, runDirectory]) fs.rmSync(path, { recursive: true });
  }
};

async function startDaemon(
  directory: string,
  runDirectory: string,
  { way, native, binary }: Server,
  socket: string,
): Promise<DaemonProcess> {
  const config = join(directory, `${way}.toml`);
  const choice = native ? "always" : "never";
  fs.writeFileSync(
    config,
    ["vbd", "vif"].map((name) => `[plugins.${name}.settings]\nnative = "${choice}"\n`).join(""),
    { mode: 0o644 },
  );
  const setUp =
    "mount -t sysfs sysfs /sys && ip link add br0 type bridge && ip link set br0 up && " +
    "ip link add vif7.0 type veth peer name guest";
  return await DaemonProcess.start(
    ["--store", socket, "--run-dir", join(runDirectory, way), "--config", config],
    {
      logFile: join(directory, `${way}.log`),
      command: [
        "/usr/bin/unshare",
        ...["--net", "--mount", "sh", "-c", `${setUp} && exec "$0" "$@"`],
        binary,
      ],
    },
  );
}

/** One device after the other, by one way and the other. */
async function inTurns(
  what: string,
  dom0: StoreClient,
  servers: readonly Server[],
  daemons: readonly DaemonProcess[],
  make: (backendDomid: number, round: number) => Promise<HandMadeDevice>,
): Promise<Result[]> {
  const empty = () => Object.fromEntries(servers.map(({ way }) => [way, [] as number[]]));
  const [series, spent] = [empty(), empty()];
  let repeated = 0;
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const [index, { way, native, domid }] of servers.entries()) {
      const { pid } = daemons[index]!;
      const before = processorMs(pid);
      const device = await make(domid, round + WARM_UP);
      await Bun.sleep(KERNEL_MS);
      const [ms, failed] = await reaches(dom0, device)
        .then((ms) => [ms, null] as const, (error: Error) => [0, error] as const);
      await device.detach();
      await device.gone();
      // Debian's `block` fails when another process of the machine takes the loop device it chose.
      if (failed !== null && (native || ++repeated > 10)) throw failed;
      if (failed !== null || round < 0) continue;
      series[way]!.push(ms);
      spent[way]!.push(processorMs(pid) - before);
    }
  }
  if (repeated > 0) {
    console.error(`${what}: ${repeated} runs of the script failed and do not count`);
  }
  const result = (words: string, of: Record<string, number[]>): Result => ({
    what: `${what}, ${words}`,
    unit: "ms",
    subjects: Object.fromEntries(Object.entries(of).map(([way, all]) => [way, summarise(all)])),
  });
  return [
    result("from state 2 to connected", series),
    result("attached and detached: processor time of the daemon and its storage helpers", spent),
  ];
}

/** Of a process and its children that run, all threads; what has ended is left out, as scripts have. */
function processorMs(pid: number): number {
  let ns = 0;
  for (const thread of fs.readdirSync(`/proc/${pid}/task`)) {
    const at = `/proc/${pid}/task/${thread}`;
    // sched-stats: nanoseconds on a processor come first.
    ns += Number(fs.readFileSync(`${at}/schedstat`, "utf8").split(" ")[0]);
    const children = fs.readFileSync(`${at}/children`, "utf8").split(" ").filter(Boolean);
    for (const child of children) ns += 1e6 * processorMs(Number(child));
  }
  return ns / 1e6;
}

/**
 * The kernel says that it is ready.
 * @returns ms until the daemon says that it is connected
 */
async function reaches(dom0: StoreClient, device: HandMadeDevice): Promise<number> {
  const path = `${device.backend}/hotplug-status`;
  const { promise: over, resolve } = Promise.withResolvers<number>();
  // The first event only says that the watch is set.
  const { promise: watched, resolve: armed } = Promise.withResolvers<void>();
  let start: number | null = null;
  const watch = await dom0.watch(path, () => start === null ? armed() : resolve(performance.now()));
  await watched;
  start = performance.now();
  await device.write("state", "2");
  const end = await Promise.race([over, Bun.sleep(30_000).then(() => Infinity)]);
  await watch.close();
  const status = await device.read("hotplug-status");
  if (status !== "connected") {
    throw new Error(`${device.backend}: ${status}: ${await device.read("hotplug-error")}`);
  }
  return end - start;
}

/** A guest's disk beside those of another one, whose server answers, and then no longer does. */
async function besideDead(
  dom0: StoreClient,
  storage: DeadStorage,
  directory: string,
  unlucky: number,
  { domid }: Server,
): Promise<Result> {
  const devices: HandMadeDevice[] = [];
  const onServer = (index: number) =>
    disk(dom0, domid, unlucky, 51712 + 16 * index, storage.image(index));
  const times = async (name: string) => {
    const found: number[] = [];
    for (let round = 0; round < ROUNDS / 2; round++) {
      const path = image(directory, `${name}-${round}`);
      const device = await disk(dom0, domid, GUEST, 51712 + 16 * round, path);
      await Bun.sleep(KERNEL_MS);
      found.push(await reaches(dom0, device));
      await device.detach();
      await device.gone();
    }
    return summarise(found);
  };
  for (let index = 0; index < UNLUCKY_DISKS; index++) devices.push(await onServer(index));
  for (const device of devices) await reaches(dom0, device);
  const well = await times("well");
  storage.silence("all");
  // Some are being attached, and the rest goes.
  for (const device of devices) await device.detach();
  for (let index = 0; index < UNLUCKY_DISKS; index++) {
    await (await onServer(UNLUCKY_DISKS + index)).write("state", "2");
  }
  const dead = await times("dead");
  const what = `vbd: a file, beside ${UNLUCKY_DISKS} of another guest whose server answers, or not`;
  return { what, unit: "ms", subjects: { "it answers": well, "it is dead": dead } };
}

/** All at the same time. */
async function atOnce(
  dom0: StoreClient,
  directory: string,
  guests: number[],
  { domid }: Server,
): Promise<Result> {
  const devices = await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => {
    const path = image(directory, `many-${number}`);
    const guest = guests[number % guests.length]!;
    return disk(dom0, domid, guest, 51712 + 16 * Math.floor(number / guests.length), path);
  }));
  const start = performance.now();
  await Promise.all(devices.map((device) => reaches(dom0, device)));
  const total = performance.now() - start;
  for (const device of devices) await device.detach();
  for (const device of devices) await device.gone();
  const summary: Summary = summarise([total]);
  return { what: `${AT_ONCE} files at once, none lost`, unit: "ms", subjects: { native: summary } };
}

function image(directory: string, name: string): string {
  const path = join(directory, name);
  // On the disk, as images are: what is not would be flushed when a loop device takes it.
  fs.writeFileSync(path, new Uint8Array(IMAGE_BYTES), { flush: true });
  return path;
}

async function disk(
  dom0: StoreClient,
  backendDomid: number,
  frontendDomid: number,
  devid: number,
  params: string,
): Promise<HandMadeDevice> {
  const id = { backendDomid, kind: "vbd", frontendDomid, devid };
  const device = new HandMadeDevice(dom0, id);
  await device.create({ script: "/etc/xen/scripts/block", params });
  return device;
}

async function nic(dom0: StoreClient, backendDomid: number): Promise<HandMadeDevice> {
  const id = { backendDomid, kind: "vif", frontendDomid: GUEST, devid: 0 };
  const device = new HandMadeDevice(dom0, id);
  const script = "/etc/xen/scripts/vif-bridge";
  await device.create({
    script,
    type: "vif",
    handle: "0",
    bridge: "br0",
    mac: "00:16:3e:00:00:01",
  });
  // As libxl does, for the driver domain to write.
  await dom0.write(`${device.frontend}/mtu`, "");
  await dom0.setPermissions(`${device.frontend}/mtu`, [
    { domid: GUEST, access: "none" },
    { domid: backendDomid, access: "both" },
  ]);
  return device;
}
