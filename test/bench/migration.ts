/**
 * The blackout of a migration, as far as the driver domain makes it: from the request to add a disk
 * to `hotplug-status` connected, with storage that takes 2 s to reach. A version 1 script does all
 * of that then; one of version 2 was prepared while the guest still ran. Needs Debian's xenstored.
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { explainMissing, xenstoredPackages } from "../real/requirements.ts";
import { startXenstored } from "../real/xenstored.ts";
import { DaemonProcess, runProgram } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import type { Benchmark } from "./result.ts";
import { summarise } from "./statistics.ts";

const DRIVER = 1;
const GUEST = 7;
const ROUNDS = 10;
/** How long the storage takes, in s: discovery, login, activation. */
const SLOW = 2;

const V1 = `#!/bin/sh
[ "$1" = add ] || exit 0
sleep ${SLOW}
xenstore-write "$XENBUS_PATH/physical-device" 7:0 "$XENBUS_PATH/physical-device-path" /dev/loop0 \\
  "$XENBUS_PATH/hotplug-status" connected
`;
const V2 = `#!/bin/sh
case $1 in
version) xenstore-write "$HOTPLUG_PATH/version" 2 ;;
prepare) sleep ${SLOW} ;;
add) xenstore-write "$HOTPLUG_PATH/pdev" /dev/loop0 "$BACKEND_PATH/physical-device" 7:0 ;;
esac
`;

/** How the script is run. */
const WAYS = ["version 1", "version 2, not prepared", "version 2, prepared"] as const;
type Way = typeof WAYS[number];

/** The benchmark. */
export const migration: Benchmark = async () => {
  const missing = explainMissing("bench migration", { packages: xenstoredPackages });
  if (missing !== null) throw new Error(missing);
  const store = await startXenstored({ domains: [DRIVER, GUEST] });
  const dom0 = await connectTo(store.socketPath(0));
  const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-bench-"));
  const scripts = { 1: join(directory, "block-slow"), 2: join(directory, "block-slow-v2") };
  fs.writeFileSync(scripts[1], V1, { mode: 0o755 });
  fs.writeFileSync(scripts[2], V2, { mode: 0o755 });
  const options = [
    ...["--store", store.socketPath(DRIVER), "--scripts", directory],
    ...["--run-dir", join(directory, "run")],
  ];
  for (const domid of [DRIVER, GUEST]) await makeDomain(dom0, domid);
  const daemon = await DaemonProcess.start(options);

  const command = async (verb: string) => {
    const argv = [verb, ...options, "--script", scripts[2], String(GUEST), "51712", "target"];
    const { code, stderr } = await runProgram(argv);
    if (code !== 0) throw new Error(stderr);
  };

  /** @returns ms from the request to connected, and those of preparing before it */
  const attach = async (way: Way): Promise<{ blackout: number; before: number }> => {
    const start = performance.now();
    if (way === "version 2, prepared") await command("prepare");
    const before = performance.now() - start;
    const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: 51712 };
    const device = new HandMadeDevice(dom0, id);
    const script = scripts[way === "version 1" ? 1 : 2];
    const status = `${device.backend}/hotplug-status`;
    const requested = performance.now();
    // The kernel's backend reaches state 2 at once.
    await device.create({ script, params: "target", state: "2", "hotplug-status": "" });
    await dom0.waitUntil(status, (value) => {
      if (value === "error") throw new Error(daemon.log);
      return value === "connected";
    }, { timeoutMs: 30_000 });
    const blackout = performance.now() - requested;
    await device.detach();
    await device.gone();
    await dom0.removeOptional(device.frontend);
    return { blackout, before };
  };

  try {
    const blackouts: Record<Way, number[]> = {
      "version 1": [],
      "version 2, not prepared": [],
      "version 2, prepared": [],
    };
    const ahead: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (const way of WAYS) {
        const { blackout, before } = await attach(way);
        blackouts[way].push(blackout);
        if (way === "version 2, prepared") ahead.push(before);
      }
    }
    return [
      {
        what: `from the request to add to connected, of storage that takes ${SLOW} s to reach`,
        unit: "ms",
        subjects: Object.fromEntries(WAYS.map((way) => [way, summarise(blackouts[way])])),
      },
      {
        what: "`xdevd prepare`, while the guest still runs elsewhere",
        unit: "ms",
        subjects: { "version 2, prepared": summarise(ahead) },
      },
    ];
  } finally {
    await daemon.stop();
    dom0.close();
    await store.stop();
    fs.rmSync(directory, { recursive: true });
  }
};
