/**
 * What tests of devices share that were set up and are then tampered with behind the daemon's back: a
 * real store, one device that is played by hand, and a daemon that checks it several times a second.
 */
import { expect } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

export const DRIVER = 1;
export const GUEST = 7;

/** One of those devices, and what is around it. */
export class KeptDevice {
  readonly store: RealXenstored;
  readonly dom0: StoreClient;
  readonly directory: string;
  readonly device: HandMadeDevice;
  #daemon: DaemonProcess | null = null;

  private constructor(
    store: RealXenstored,
    dom0: StoreClient,
    directory: string,
    device: HandMadeDevice,
  ) {
    this.store = store;
    this.dom0 = dom0;
    this.directory = directory;
    this.device = device;
  }

  /** @param settings further lines of the plugin's, in the configuration */
  static async make(kind: "vbd" | "vif", devid: number, settings = ""): Promise<KeptDevice> {
    const store = await startXenstored({ domains: [DRIVER, GUEST] });
    const dom0 = await connectTo(store.socketPath(0));
    for (const domid of [DRIVER, GUEST]) await makeDomain(dom0, domid);
    const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-kept-"));
    for (const native of ["always", "never"]) {
      const text = `[plugins.${kind}.settings]\nnative = "${native}"\n${settings}`;
      fs.writeFileSync(join(directory, `${native}.toml`), text, { mode: 0o644 });
    }
    const id = { backendDomid: DRIVER, kind, frontendDomid: GUEST, devid };
    return new KeptDevice(store, dom0, directory, new HandMadeDevice(dom0, id));
  }

  /** The one that was started last. */
  get daemon(): DaemonProcess {
    return this.#daemon!;
  }

  /** Starts a daemon, which works with or without scripts. */
  async start(
    native: "always" | "never",
    args: readonly string[] = [],
    options: Parameters<typeof DaemonProcess.start>[1] = {},
  ): Promise<void> {
    this.#daemon = await DaemonProcess.start([
      ...["--store", this.store.socketPath(DRIVER), "--run-dir", join(this.directory, "run")],
      ...["--config", join(this.directory, `${native}.toml`), "--time", "check=0.2", ...args],
    ], options);
  }

  /** Waits until it is set up, and plays the guest that connects, as far as the backend goes. */
  async connect(): Promise<void> {
    const { kind, frontendDomid, devid } = this.device.id;
    await this.device.reaches("hotplug-status", "connected");
    await this.device.write("state", "4");
    await this.daemon.says(new RegExp(`${kind}/${frontendDomid}/${devid}\\): connected`));
  }

  /** The warnings that contain a text. */
  told(text: string): string[] {
    return this.daemon.lines("warning").filter((line) => line.includes(text));
  }

  /** Lets several checks pass. */
  async pause(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }

  /** Waits until it is told, once. */
  async isTold(text: string): Promise<void> {
    await until(
      () => this.told(text).length > 0,
      () => `never told: ${text}\n${this.daemon.log}`,
    );
    await this.pause();
    expect(this.told(text)).toHaveLength(1);
  }

  /** Ends all but the daemon. */
  async stop(): Promise<void> {
    this.dom0.close();
    await this.store.stop();
    fs.rmSync(this.directory, { recursive: true });
  }
}
