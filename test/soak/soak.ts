/** `npm run test:soak`: the daemon over a long time, on the real xenstored. `--help` tells how. */
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandLine, wholeNumber } from "../../tools/command_line.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { startXenstored } from "../real/xenstored.ts";
import { DaemonProcess, runProgram } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";

const DRIVER = 1;
const GUESTS = [7, 8, 9, 10];
/** After so many, memory is measured for the first time. */
const WARM_UP = 1_000;
/**
 * Bound of the memory at the end, as a multiple of that, and more in MiB: the full binary's heap breathes; the small
 * one's does not, but for a page here and there.
 */
const BOUNDS = { bun: { factor: 1.25, mib: 24 }, quickjs: { factor: 1.1, mib: 0.2 } } as const;

const help = `npm run test:soak [-- OPTIONS]

State flips from a guest, and attach and detach cycles, on what XDEVD_BINARY names or the sources. Prints
the daemon's resident memory; the status is 1 when it has grown beyond the bound, 2 for a wrong command line.

  --flips N   so many flips (default: 1000000)
  --cycles N  so many cycles (default: 20000)
  --help      this
`;

const { values } = commandLine("test:soak", help, {
  options: {
    flips: { type: "string", default: "1000000" },
    cycles: { type: "string", default: "20000" },
  },
});

const flipCount = wholeNumber("test:soak", "--flips", values.flips);
const cycleCount = wholeNumber("test:soak", "--cycles", values.cycles);

/** Does as little as a script can: what is measured is the daemon. */
const SCRIPT = `#!/bin/sh
if [ "$1" = add ]; then
  exec xenstore-write "$XENBUS_PATH/physical-device" 7:0 "$XENBUS_PATH/hotplug-status" connected
fi
`;

const version = JSON.parse((await runProgram(["--version", "--json"])).stdout);
const runtime: keyof typeof BOUNDS = version.runtime.name;
console.log(`xdevd ${version.version} on ${runtime} ${version.runtime.version}`);
const directory = await fs.mkdtemp(join(tmpdir(), "xdevd-soak-"));
const script = join(directory, "block-soak");
await fs.writeFile(script, SCRIPT, { mode: 0o755 });
const store = await startXenstored({ domains: [DRIVER, ...GUESTS] });
const dom0 = await connectTo(store.socketPath(0));
for (const domid of [DRIVER, ...GUESTS]) await makeDomain(dom0, domid);
const daemon = await DaemonProcess.start([
  "--store",
  store.socketPath(DRIVER),
  "--scripts",
  directory,
  "--run-dir",
  join(directory, "run"),
  "--time",
  "hold=0",
], { quiet: true });

let failed = false;
try {
  await flips(flipCount);
  await cycles(cycleCount);
} catch (error) {
  console.error(
    `${(error as Error).message}\nthe daemon's last lines:\n${daemon.log.slice(-4_000)}`,
  );
  failed = true;
} finally {
  await daemon.stop();
  dom0.close();
  await store.stop();
  await fs.rm(directory, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

async function residentMib(): Promise<number> {
  const status = await fs.readFile(`/proc/${daemon.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
}

async function cpuSeconds(): Promise<number> {
  const stat = await fs.readFile(`/proc/${daemon.pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function judge(what: string, count: number, before: number, after: number, seconds: number): void {
  const { factor, mib } = BOUNDS[runtime];
  const bound = before * factor + mib;
  const good = after <= bound;
  failed ||= !good;
  console.log(
    `${what}: ${count} in ${seconds.toFixed(0)} s; resident ${before.toFixed(1)} MiB after ` +
      `${WARM_UP}, ${after.toFixed(1)} MiB at the end; bound ${bound.toFixed(1)} MiB: ` +
      (good ? "kept" : "BROKEN"),
  );
}

/** A guest that cycles its frontend makes its backend's state cycle; so do we, without a kernel. */
async function flips(count: number): Promise<void> {
  const device = await attach(dom0, GUESTS[0]!, 51712);
  const kernel = await connectTo(store.socketPath(DRIVER));
  const states = ["5", "6", "2", "4"];
  const start = performance.now();
  let before = 0;
  const batch = 100;
  for (let done = 0; done < count; done += batch) {
    await Promise.all(
      Array.from(
        { length: batch },
        (_, index) => kernel.write(`${device.backend}/state`, states[index % 4]!),
      ),
    );
    if (done + batch === WARM_UP) before = await residentMib();
  }
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const seconds = (performance.now() - start) / 1000;
  judge("state flips", count, before, await residentMib(), seconds);
  console.log(`  the daemon used ${(await cpuSeconds()).toFixed(1)} s of processor time`);
  kernel.close();
  await detach(device);
}

async function cycles(count: number): Promise<void> {
  const start = performance.now();
  let started = 0;
  let ended = 0;
  let before = 0;
  const worker = async (guest: number, devid: number) => {
    while (started < count) {
      started++;
      const device = await attach(dom0, guest, devid);
      await device.write("state", "4");
      await detach(device);
      ended++;
      if (ended === WARM_UP) before = await residentMib();
      if (ended % 2_000 === 0) {
        console.log(`  ${ended} cycles: ${(await residentMib()).toFixed(1)} MiB`);
      }
    }
  };
  const workers: Promise<void>[] = [];
  for (const guest of GUESTS) for (const devid of [0, 16, 32]) workers.push(worker(guest, devid));
  await Promise.all(workers);
  const seconds = (performance.now() - start) / 1000;
  judge("attach/detach cycles", ended, before, await residentMib(), seconds);
}

async function attach(client: StoreClient, guest: number, devid: number): Promise<HandMadeDevice> {
  const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: guest, devid };
  const device = new HandMadeDevice(client, id);
  await device.create({ script, params: `/dev/vg/${guest}-${devid}`, state: "2" });
  await device.reaches("hotplug-status", "connected");
  return device;
}

async function detach(device: HandMadeDevice): Promise<void> {
  await device.detach();
  await device.gone();
}
