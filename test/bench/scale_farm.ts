/** A store of its own with a daemon, to which devices of many guests are attached. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { socketPath } from "../../simulation/xenstored/listen.ts";
import { startXenstored } from "../real/xenstored.ts";
import { DaemonProcess } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";

/** The driver domain. */
export const DRIVER = 1;
/** Frontends of all devices are in so many guests. */
export const GUESTS = 100;
const FIRST_GUEST = 10;
/** Devices that are made, or removed, at a time. */
const BATCH = 100;

const guests = Array.from({ length: GUESTS }, (_, number) => FIRST_GUEST + number);
const domains = [DRIVER, ...guests];

/** A store that is measured on. */
interface Store {
  readonly pid: number;
  socketPath(domid: number): string;
  stop(): Promise<void>;
}

/** Starts a store, given a directory that is its own. */
export type StartStore = (directory: string) => Promise<Store>;

/** Debian's. */
export const startC: StartStore = async () => {
  // Its quotas of a domain, 1000 nodes and 2 MB, are for less than 100, and less than 2000 disks.
  const args = ["--entry-nb", "1000000", "--quota", "memory=1000000000"];
  const store = await startXenstored({ domains, args });
  return {
    pid: store.pid,
    socketPath: (domid: number) => store.socketPath(domid),
    stop: () => store.stop(),
  };
};

/** Ours, as a process. */
export const startEmbedded: StartStore = async (directory) => {
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
    pid: child.pid!,
    socketPath: (domid) => socketPath(directory, domid),
    stop,
  };
};

/** What is the same for all farms. */
export interface Site {
  /** For what they keep. */
  readonly directory: string;
  /** The configuration file of their daemons. */
  readonly config: string;
  /** The block device that all disks are. */
  readonly loop: string;
}

/** A store with a daemon. */
export class Farm {
  readonly store: Store;
  readonly dom0: StoreClient;
  readonly #daemon: DaemonProcess;
  readonly #loop: string;
  /** The daemon's. */
  readonly runDir: string;

  private constructor(
    store: Store,
    dom0: StoreClient,
    daemon: DaemonProcess,
    loop: string,
    runDir: string,
  ) {
    this.runDir = runDir;
    this.store = store;
    this.dom0 = dom0;
    this.#daemon = daemon;
    this.#loop = loop;
  }

  /** Runs the work with a farm of its own. @param name of its directory */
  static async with<T>(
    { directory, config, loop }: Site,
    start: StartStore,
    name: string,
    work: (farm: Farm) => Promise<T>,
  ): Promise<T> {
    const store = await start(join(directory, name));
    try {
      const runDir = join(directory, `${name}.run`);
      const dom0 = await connectTo(store.socketPath(0));
      try {
        for (const domid of domains) await makeDomain(dom0, domid);
        const daemon = await DaemonProcess.start([
          ...["--store", store.socketPath(DRIVER), "--run-dir", runDir],
          // Of a thousand, the first are made long before the last. And what is done every 45 s for
          // all is measured by itself: into which samples it falls is chance. So it is with the
          // check every 5 s, of 100 devices at most.
          ...["--config", config, "--time", "initWait=600"],
          ...["--time", "resync=3600", "--time", "check=3600"],
        ], { quiet: true });
        try {
          return await work(new Farm(store, dom0, daemon, loop, runDir));
        } finally {
          await daemon.stop();
        }
      } finally {
        dom0.close();
      }
    } finally {
      await store.stop();
    }
  }

  /** The daemon's. */
  get pid(): number {
    return this.#daemon.pid;
  }

  /** The guest of a device. */
  static guestOf(number: number): number {
    return guests[number % guests.length]!;
  }

  /** Makes devices, in state 1. @param first the first one's number */
  async make(first: number, count: number): Promise<HandMadeDevice[]> {
    const devices: HandMadeDevice[] = [];
    // One after the other: transactions on the same directories would only be in each other's way.
    for (let number = first; number < first + count; number++) {
      const frontendDomid = Farm.guestOf(number);
      const devid = 51712 + Math.floor(number / guests.length);
      const device = new HandMadeDevice(this.dom0, {
        backendDomid: DRIVER,
        kind: "vbd",
        frontendDomid,
        devid,
      });
      await device.create({ script: "/etc/xen/scripts/block", params: this.#loop, mode: "r" });
      devices.push(device);
    }
    return devices;
  }

  /** The kernel's part; resolves when all are connected, which none may miss. */
  async attach(devices: readonly HandMadeDevice[]): Promise<void> {
    await Promise.all(devices.map(async (device) => {
      const status = await new Promise<string | undefined>((resolve, reject) => {
        this.dom0.waitUntil(`${device.backend}/hotplug-status`, (value) => value !== undefined, {
          timeoutMs: 120_000,
        }).then(resolve, reject);
        device.write("state", "2").catch(reject);
      });
      if (status === "connected") return;
      throw new Error(`${device.backend}: ${status}: ${await device.read("hotplug-error")}`);
    }));
  }

  /** As a toolstack; resolves when nothing is left of them. */
  async remove(devices: readonly HandMadeDevice[]): Promise<void> {
    for (let at = 0; at < devices.length; at += BATCH) {
      const batch = devices.slice(at, at + BATCH);
      await Promise.all(batch.map((device) => device.detach()));
      await Promise.all(
        batch.map(({ backend }) =>
          this.dom0.waitUntil(backend, (value) => value === undefined, { timeoutMs: 60_000 })
        ),
      );
      // As libxl does. What was left of thousands would be in the C xenstored's way from then on.
      await Promise.all(batch.map(({ frontend }) => this.dom0.remove(frontend)));
    }
  }

  /** Makes and attaches as many as are missing. @returns all of them */
  async makeUp(all: HandMadeDevice[], count: number): Promise<HandMadeDevice[]> {
    while (all.length < count) {
      const batch = await this.make(all.length, Math.min(BATCH, count - all.length));
      await this.attach(batch);
      all.push(...batch);
    }
    return all;
  }
}
