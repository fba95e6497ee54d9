/** What a driver domain does whose storage stops answering: one case for all numbers and kinds. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "bun:test";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, until } from "../support/daemon_process.ts";
import { DeadStorage, type Silence } from "../support/dead_storage/dead_storage.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const UNLUCKY = 7;
const OTHER = 8;

/** Longest time for another guest's attach, in ms. */
const OTHERS_MS = 10_000;

/** How long the daemon may take to end when it is told to, in ms: its own limit, and what a loaded machine adds. */
const STOP_MS = 5_000 + 10_000;

/**
 * Sets a loop device up, and asks no other one: Debian's script asks them all (`losetup -a`), and waits for
 * ever for one that does not answer.
 */
const SCRIPT = `#!/bin/sh
case "$1" in
add)
  node=$(losetup -f --show "$(xenstore-read "$XENBUS_PATH/params")") || exit 1
  number=$(stat -c '%t:%T' "$node")
  xenstore-write "$XENBUS_PATH/node" "$node" "$XENBUS_PATH/physical-device" "$number" \\
    "$XENBUS_PATH/hotplug-status" connected
  ;;
remove)
  losetup -d "$(xenstore-read "$XENBUS_PATH/node")"
  ;;
esac
`;

/** One case. */
export interface DeadCase {
  readonly way: "native" | "script";
  /** How many disks are on the server that dies. */
  readonly disks: number;
  /** What it does not answer any more. */
  readonly silence: Silence;
  /**
   * Whether it dies before they are attached, while they are, before they are attached through loop devices
   * that somebody else has made, or carries such a one that is nobody's disk; or carries what is named as
   * their script.
   */
  readonly when: "before" | "attached" | "through" | "foreign" | "as script";
}

/** Plays it. @throws what is not as it should be */
export async function playDeadCase({ way, disks, silence, when }: DeadCase): Promise<void> {
  const store = await startXenstored({ domains: [DRIVER, UNLUCKY, OTHER] });
  const dom0 = await connectTo(store.socketPath(0));
  const directory = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), "xdevd-dead-"));
  const storage = await DeadStorage.start(disks);
  const foreign: string[] = [];
  // What the kernel calls them once their mount is gone; nobody else's are called so.
  const images = Array.from({ length: disks }, (_, index) => `/disk-${index}`);
  let daemon: DaemonProcess | null = null;
  try {
    for (const domid of [DRIVER, UNLUCKY, OTHER]) await makeDomain(dom0, domid);
    fs.writeFileSync(join(directory, "block-plain"), SCRIPT, { mode: 0o755 });
    const config = join(directory, "xdevd.toml");
    const native = way === "native" ? "always" : "never";
    fs.writeFileSync(config, `[plugins.vbd.settings]\nnative = "${native}"\n`);
    const around = new Around(store, dom0, directory, config, way);
    daemon = await around.daemon();

    const unlucky = [];
    if (when === "before" || when === "as script") storage.silence(silence);
    if (when === "foreign" || when === "through") {
      for (let index = 0; index < disks; index++) {
        const show = ["-f", "--show", storage.image(index)];
        foreign.push(execFileSync("losetup", show, { encoding: "utf8" }).trim());
      }
    }
    if (when === "through") storage.silence(silence);
    for (let index = 0; when !== "foreign" && index < disks; index++) {
      const device = around.device(UNLUCKY, 51712 + 16 * index);
      const params = when === "through" ? foreign[index]! : storage.image(index);
      await around.create(device, params, when === "as script" ? storage.image(index) : undefined);
      unlucky.push(device);
    }
    if (when === "attached") {
      for (const device of unlucky) await device.reaches("hotplug-status", "connected");
    }
    storage.silence(silence);
    // Its guest goes, as when it is destroyed.
    if (when === "attached") { for (const device of unlucky) await device.detach(); }
    for (let round = 0; round < 3; round++) await around.attachAnother(round);

    await endInTime(daemon);
    daemon = await around.daemon();
    await around.attachAnother(3);
    daemon = await restartWhenAnswering(around, daemon, storage);
    for (const device of unlucky) {
      if (when !== "attached") await device.detach();
      await device.gone();
    }
    await around.attachAnother(4);
    await endInTime(daemon);
    daemon = null;
  } finally {
    await storage.end();
    await daemon?.stop("SIGKILL");
    dom0.close();
    await store.stop();
    const left = loopsOn([directory, storage.mountPoint, ...images]);
    for (const node of left) execFileSync("losetup", ["-d", node]);
    fs.rmSync(directory, { recursive: true });
    // The foreign one is the test's.
    expect(left.sort()).toEqual(foreign.sort());
  }
}

/**
 * The daemon is killed while storage does not answer; then it does. What the helper was asked for is not done
 * any more: nobody would undo it.
 */
export async function playLateAnswer(silence: Silence): Promise<void> {
  const store = await startXenstored({ domains: [DRIVER, UNLUCKY] });
  const dom0 = await connectTo(store.socketPath(0));
  const directory = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), "xdevd-dead-"));
  const storage = await DeadStorage.start();
  try {
    for (const domid of [DRIVER, UNLUCKY]) await makeDomain(dom0, domid);
    const config = join(directory, "xdevd.toml");
    fs.writeFileSync(config, '[plugins.vbd.settings]\nnative = "always"\n');
    const around = new Around(store, dom0, directory, config, "native");
    const daemon = await around.daemon();
    storage.silence(silence);
    await around.create(around.device(UNLUCKY, 51712), storage.image());
    let helper = "";
    await until(
      () => (helper = helperOf(daemon.pid)) !== "" && storage.held > 0,
      () => "the server was never asked",
    );
    await daemon.stop("SIGKILL");
    storage.answer();
    await until(() => !fs.existsSync(`/proc/${helper}`), () => `process ${helper} goes on`);
    expect(loopsOn([storage.mountPoint])).toEqual([]);
  } finally {
    await storage.end();
    dom0.close();
    await store.stop();
    for (const node of loopsOn([storage.mountPoint])) execFileSync("losetup", ["-d", node]);
    fs.rmSync(directory, { recursive: true });
  }
}

/** Who is left behind is told and counted; what it waits for is refused at once, and served when it is back. */
export async function playLeftBehind(): Promise<void> {
  const store = await startXenstored({ domains: [DRIVER, UNLUCKY] });
  const dom0 = await connectTo(store.socketPath(0));
  const directory = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), "xdevd-dead-"));
  const storage = await DeadStorage.start(3);
  let daemon: DaemonProcess | null = null;
  try {
    for (const domid of [DRIVER, UNLUCKY]) await makeDomain(dom0, domid);
    const config = join(directory, "xdevd.toml");
    fs.writeFileSync(config, '[plugins.vbd.settings]\nnative = "always"\n');
    const around = new Around(store, dom0, directory, config, "native");
    const running = daemon = await around.daemon();
    const says = (text: string | RegExp) =>
      until(() => running.log.search(text) >= 0, () => `never ${text}: ${running.log}`, 60_000);
    const [first, second, third] = [0, 1, 2].map((index) =>
      around.device(UNLUCKY, 51712 + 16 * index)
    ) as [HandMadeDevice, HandMadeDevice, HandMadeDevice];
    storage.silence("lookup");
    await around.create(first, storage.image(0));
    const place = `${JSON.stringify(storage.mountPoint)} (fuse)`;
    await says(`waits for ${place.replaceAll(/[()]/g, "\\$&")}`);
    await first.reaches("hotplug-error", /does not answer \[storage-silent\]$/);
    await around.create(second, storage.image(1));
    await second.reaches("hotplug-error", /does not answer \[storage-silent\]$/);
    process.kill(running.pid, "SIGUSR1");
    await says(
      /storage: ".*" \(fuse\) has not answered for [\d.]+ s: describe ".*disk-0", process \d+/,
    );
    storage.answer();
    await says(/has let go of process \d+, after \d+ s/);
    await around.create(third, storage.image(2));
    await third.reaches("hotplug-status", "connected");
    for (const device of [first, second, third]) await device.detach();
    for (const device of [first, second, third]) await device.gone();
    await endInTime(running);
    daemon = null;
  } finally {
    await storage.end();
    await daemon?.stop("SIGKILL");
    dom0.close();
    await store.stop();
    for (const node of loopsOn([storage.mountPoint])) execFileSync("losetup", ["-d", node]);
    fs.rmSync(directory, { recursive: true });
  }
}

/** The pid of a daemon's storage helper; empty when it has none. */
function helperOf(daemon: number): string {
  const children = fs.readFileSync(`/proc/${daemon}/task/${daemon}/children`, "utf8").split(" ");
  return children.find((pid) => {
    if (pid === "") return false;
    return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("storage");
  }) ?? "";
}

/** Loop devices that carry what is there, by sysfs. */
function loopsOn(places: readonly string[]): string[] {
  return fs.readdirSync("/sys/block").filter((name) => {
    try {
      const file = fs.readFileSync(`/sys/block/${name}/loop/backing_file`, "utf8").trim();
      return places.some((place) => file === place || file.startsWith(`${place}/`));
    } catch {
      // It carries nothing.
      return false;
    }
  }).map((name) => `/dev/${name}`);
}

/** The server dies for good: whoever waits for it gets an error, and nothing of it is left to be undone. */
async function restartWhenAnswering(
  around: Around,
  daemon: DaemonProcess,
  storage: DeadStorage,
): Promise<DaemonProcess> {
  await storage.end();
  await endInTime(daemon);
  return await around.daemon();
}

async function endInTime(daemon: DaemonProcess): Promise<void> {
  const start = performance.now();
  const ended = daemon.stop();
  const code = await Promise.race([
    ended,
    new Promise((resolve) => setTimeout(() => resolve("too late"), STOP_MS)),
  ]);
  expect([code, daemon.log]).toEqual([0, daemon.log]);
  expect(performance.now() - start).toBeLessThan(STOP_MS);
}

/** What a case is played with. */
class Around {
  readonly #store: RealXenstored;
  readonly #dom0: StoreClient;
  readonly #directory: string;
  readonly #config: string;
  readonly #way: DeadCase["way"];

  constructor(
    store: RealXenstored,
    dom0: StoreClient,
    directory: string,
    config: string,
    way: DeadCase["way"],
  ) {
    this.#store = store;
    this.#dom0 = dom0;
    this.#directory = directory;
    this.#config = config;
    this.#way = way;
  }

  async daemon(): Promise<DaemonProcess> {
    return await DaemonProcess.start([
      ...["--store", this.#store.socketPath(DRIVER), "--config", this.#config],
      ...["--run-dir", join(this.#directory, "run"), "--scripts", this.#directory],
      ...["--scripts", "/etc/xen/scripts"],
    ]);
  }

  device(guest: number, devid: number): HandMadeDevice {
    const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: guest, devid };
    return new HandMadeDevice(this.#dom0, id);
  }

  async create(
    device: HandMadeDevice,
    params: string,
    script = this.#way === "native"
      ? "/etc/xen/scripts/block"
      : join(this.#directory, "block-plain"),
  ): Promise<void> {
    await device.create({ script, params, state: "2" });
  }

  /** Another guest's disk, on storage that is well, comes and goes. */
  async attachAnother(round: number): Promise<void> {
    const image = join(this.#directory, `other-${round}`);
    fs.writeFileSync(image, new Uint8Array(64 * 1024), { flush: true });
    const device = this.device(OTHER, 51712 + 16 * round);
    await this.create(device, image);
    await device.reaches("hotplug-status", "connected", OTHERS_MS);
    await device.detach();
    await until(
      async () => !await this.#dom0.exists(device.backend),
      async () => `not removed: ${JSON.stringify(await device.nodes())}`,
    );
  }
}
