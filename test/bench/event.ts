/**
 * From the write of a backend's state 2, as the kernel writes it, to the start of the hotplug script:
 * `xl devd`, our daemon of either binary, and a program in C that does nothing but wait and start the script, each
 * for a driver domain of its own on one real xenstored, in turns. Writer and script are programs in C, so
 * that what is measured is the daemon. Needs root and Debian's packages.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { explainMissing, xenstoredPackages } from "../real/requirements.ts";
import { startXenstored } from "../real/xenstored.ts";
import { XlDevd } from "../real/xl_devd.ts";
import { DaemonProcess } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { compileSubjects } from "./compiled.ts";
import { compilePeer, compilerPackages } from "./compile_peer.ts";
import type { Benchmark } from "./result.ts";
import { summarise } from "./statistics.ts";

const GUEST = 7;
const ROUNDS = 150;
/** Rounds before those that count: a daemon's code is compiled as it is used. */
const WARM_UP = 30;
/** Between the device's creation and the kernel's write, in ms: by then all have seen it. */
const SETTLE_MS = 20;
/** How often a daemon that does not tell when it serves is given a device. */
const ATTEMPTS = 5;

const [XL, FLOOR, FIRST_OF_OURS] = [1, 2, 11] as const;

/** What it takes to attach a device. */
interface Rig {
  readonly dom0: StoreClient;
  readonly script: string;
  readonly writer: Peer;
}

/** The benchmark. */
export const event: Benchmark = async () => {
  const missing = explainMissing("bench event", {
    packages: [...xenstoredPackages, ...compilerPackages],
    root: true,
  });
  if (missing !== null) throw new Error(missing);
  const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-bench-"));
  const report = join(directory, "report");
  execFileSync("mkfifo", ["-m", "600", report]);
  const script = compilePeer(
    "event_script",
    directory,
    ...["-static", `-DREPORT="${report}"`, "-lxenstore", "-lxentoolcore"],
  );
  const ours = compileSubjects(directory).map(({ name, file }, index) =>
    [name, FIRST_OF_OURS + index, file] as const
  );
  /** Who serves each driver domain. */
  const subjects = [
    ["xl devd", XL],
    ...ours.map(([name, domid]) => [name, domid] as const),
    ["watch and spawn, in C", FLOOR],
  ] as const;
  const domains = [...subjects.map(([, domid]) => domid), GUEST];
  const store = await startXenstored({ domains });
  const dom0 = await connectTo(store.socketPath(0));
  const stops: (() => Promise<unknown>)[] = [];
  try {
    for (const domid of domains) await makeDomain(dom0, domid);
    const xl = await XlDevd.start(store.socketPath(XL));
    stops.push(() => xl.stop());
    for (const [name, domid, file] of ours) {
      const daemon = await DaemonProcess.start([
        ...["--store", store.socketPath(domid), "--scripts", directory],
        ...["--run-dir", join(directory, `run-${name}`)],
      ], { command: [file] });
      stops.push(() => daemon.stop());
    }
    const floor = compilePeer("event_floor", directory, "-lxenstore");
    stops.push((await startPeer(floor, [script], store.socketPath(FLOOR))).stop);
    const program = compilePeer("event_writer", directory, "-lxenstore");
    const writer = await startPeer(program, [report], store.socketPath(0));
    stops.push(writer.stop);
    const rig = { dom0, script, writer };

    const series = new Map<string, number[]>(subjects.map(([name]) => [name, []]));
    for (const [, domid] of subjects) await untilServed(domid, rig);
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      for (const [name, domid] of subjects) {
        const ms = await attach(domid, rig);
        if (ms === 0) throw new Error(`${name} did not start the script`);
        if (round >= 0) series.get(name)?.push(ms);
      }
    }
    return [{
      what: "from the write of state 2 to the start of the script",
      unit: "ms",
      subjects: Object.fromEntries([...series].map(([name, values]) => [name, summarise(values)])),
    }];
  } finally {
    for (const stop of stops.reverse()) await stop();
    dom0.close();
    await store.stop();
    fs.rmSync(directory, { recursive: true });
  }
};

/** One device, from its creation to its end. @returns ms; 0 when no script was started */
async function attach(domid: number, rig: Rig): Promise<number> {
  const id = { backendDomid: domid, kind: "vbd", frontendDomid: GUEST, devid: 51712 };
  const device = new HandMadeDevice(rig.dom0, id);
  await device.create({ script: rig.script, params: "target" });
  await sleep(SETTLE_MS);
  const us = Number(await rig.writer.ask(`${device.backend}/state`));
  if (us > 0) await device.reaches("hotplug-status", "connected");
  if (us > 0 && domid !== FLOOR) {
    await device.detach();
    await device.gone();
  }
  await device.nuke();
  return us / 1000;
}

/** @throws Error when it serves nothing */
async function untilServed(domid: number, rig: Rig): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await attach(domid, rig) > 0) return;
  }
  throw new Error(`nobody starts scripts for domain ${domid}`);
}

/** A program in C on a connection to the store. */
interface Peer {
  /** Gives it a line. @returns the next line that it prints */
  ask(line: string): Promise<string>;
  stop(): Promise<void>;
}

async function startPeer(program: string, args: readonly string[], socket: string): Promise<Peer> {
  const child = spawn(program, args, {
    env: { PATH: "/usr/bin:/bin", XENSTORED_PATH: socket },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => {
    const { done, value } = await lines.next();
    if (done) throw new Error(`${program} has ended`);
    return value;
  };
  if (await next() !== "ready") throw new Error(`${program} is not ready`);
  return {
    ask(line) {
      child.stdin.write(`${line}\n`);
      return next();
    },
    async stop() {
      child.kill();
      await exited;
    },
  };
}
