/** A daemon that has attached, failed to attach and detached: something to count. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { askDaemon } from "../../commands/devd/control_client.ts";
import type { DeviceStatus } from "../../core/daemon/control/device_status.ts";
import { createDomainHome } from "../../simulation/domains.ts";
import { DaemonProcess, until } from "./daemon_process.ts";
import { startEmbeddedStore } from "./embedded_store.ts";
import { HandMadeDevice } from "./hand_made.ts";
import { connectTo } from "./store_connection.ts";

const DRIVER = 1;
const GUEST = 7;

/** How many interfaces are set up, fail, and have been detached again: no more than are set up at a time. */
export const COUNTS = { ready: 2, failed: 1, detached: 1 } as const;

const PATIENCE_MS = 60_000;

/** What runs. */
export interface CountedDaemon {
  readonly directory: string;
  readonly runDir: string;
  /** The driver domain's. */
  readonly store: string;
  /** All interfaces of which the daemon remembers something. */
  readonly names: readonly string[];
  readonly daemon: DaemonProcess;
  stop(): Promise<void>;
}

export async function startCountedDaemon(): Promise<CountedDaemon> {
  const directory = mkdtempSync(join(tmpdir(), "xdevd-metrics-"));
  const scripts = join(directory, "scripts");
  const runDir = join(directory, "run");
  mkdirSync(scripts);
  writeFileSync(join(scripts, "vif-good"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  writeFileSync(join(scripts, "vif-bad"), "#!/bin/sh\n[ $1 = offline ] || exit 1\n", {
    mode: 0o755,
  });
  const store = await startEmbeddedStore([DRIVER, GUEST]);
  const dom0 = await connectTo(store.socketPath(0));
  await createDomainHome(dom0, { domid: DRIVER, driverDomain: true });
  await createDomainHome(dom0, { domid: GUEST });
  const daemon = await DaemonProcess.start([
    ...["--store", store.socketPath(DRIVER), "--run-dir", runDir, "--scripts", scripts],
  ]);
  const total = COUNTS.ready + COUNTS.failed + COUNTS.detached;
  const devices: HandMadeDevice[] = [];
  for (let devid = 0; devid < total; devid++) {
    const id = { backendDomid: DRIVER, kind: "vif", frontendDomid: GUEST, devid };
    const device = new HandMadeDevice(dom0, id);
    const script = devid < COUNTS.failed ? "vif-bad" : "vif-good";
    const nodes = { script, type: "vif", bridge: "xenbr0", handle: String(devid) };
    await device.create(nodes);
    await device.write("state", "2");
    devices.push(device);
  }
  for (const device of devices.slice(COUNTS.failed)) {
    await device.reaches("hotplug-status", "connected", PATIENCE_MS);
  }
  for (const device of devices.slice(0, COUNTS.failed)) {
    await device.reaches("hotplug-status", "error", PATIENCE_MS);
  }
  const gone = devices.slice(COUNTS.failed, COUNTS.failed + COUNTS.detached);
  for (const device of gone) await device.detach();
  for (const device of gone) await device.gone();
  const rightly = async () => {
    const { devices } = await askDaemon<{ devices: DeviceStatus[] }>(runDir, "List");
    const inState = (wanted: string) => devices.filter(({ state }) => state === wanted).length;
    return devices.length === COUNTS.ready + COUNTS.failed &&
      inState("ready") === COUNTS.ready && inState("failed") === COUNTS.failed;
  };
  await until(rightly, () => daemon.log, PATIENCE_MS);
  return {
    directory,
    runDir,
    store: store.socketPath(DRIVER),
    names: devices.map(({ id }) => `vif/${GUEST}/${id.devid}`),
    daemon,
    async stop() {
      await daemon.stop();
      dom0.close();
      await store.stop();
      rmSync(directory, { recursive: true });
    },
  };
}
