/** A guest that does whatever it can with its frontends, for long, on the real xenstored. */
import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Permission } from "../../core/xenstore/permissions.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { startXenstored } from "./xenstored.ts";

const [DRIVER, HOSTILE, QUIET] = [1, 7, 8];
const OPERATIONS = 100_000;
/** After so many, memory is measured for the first time. */
const WARM_UP = 20_000;
const BATCH = 50;
/** How much more of it there may be at the end: the heap breathes. */
const GROWTH_MIB = 32;
const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

const SCRIPT = `#!/bin/sh
if [ "$1" = add ]; then
  exec xenstore-write "$XENBUS_PATH/physical-device" 7:0 "$XENBUS_PATH/hotplug-status" connected
fi
`;

const FORGED = "2026-01-01T00:00:00.000Z error   forged";
const LINE = /^\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info|warning|error) +\S/;

/** Numbers 0 … below, the same for a seed. */
function numbers(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    // Marsaglia, "Xorshift RNGs", 2003.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** What a guest may do with one frontend of its own. */
function operations(guest: StoreClient, pick: (below: number) => number) {
  const one = <T>(...values: readonly T[]): T => values[pick(values.length)]!;
  const value = () =>
    one(
      ...["0", "1", "2", "3", "4", "5", "6", "7", "8", "", "-1", "4294967296", " 4", "4\n", "0x4"],
      `5\n${FORGED}`,
      `5\r${FORGED}`,
      `\x1b[2J\x1b]0;${FORGED}\x07`,
      `\u202e${FORGED}\u2028${FORGED}`,
      "constructor",
      "__proto__",
      "x".repeat(pick(2_000)),
      String.fromCharCode(...Array.from({ length: 1 + pick(40) }, () => 1 + pick(31))),
    );
  const name = () =>
    one(
      "state",
      "state",
      "state",
      "mtu",
      "constructor",
      "__proto__",
      "event-channel",
      `n${pick(50)}`,
    );
  const permissions = (): Permission[] => [
    { domid: HOSTILE, access: one("none", "read", "both") },
    ...one<Permission[]>([], [{ domid: DRIVER, access: one("none", "read", "both") }]),
  ];
  return async (frontend: string): Promise<void> => {
    const path = `${frontend}/${name()}`;
    switch (pick(10)) {
      case 0:
        return await guest.remove(path);
      case 1:
        // It cannot make it again: that is the toolstack's.
        return await guest.remove(pick(100) === 0 ? frontend : path);
      case 2:
        return await guest.setPermissions(one(frontend, path), permissions());
      case 3:
        return await guest.transaction(async (t) => {
          await t.write(path, value());
          await t.write(`${frontend}/state`, value());
          if (pick(3) === 0) throw new Error("never mind");
        });
      case 4:
        return await guest.write(frontend, value());
      default:
        return await guest.write(path, value());
    }
  };
}

const needs = { packages: [...xenstoredPackages], root: true };

if (requireReal("a guest that misuses its frontends", needs)) {
  test(
    `${OPERATIONS} operations of a guest: memory stays, others are served, no line is forged (seed ${seed})`,
    async () => {
      const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-frontend-"));
      const script = join(directory, "block");
      fs.writeFileSync(script, SCRIPT, { mode: 0o755 });
      const store = await startXenstored({ domains: [DRIVER, HOSTILE, QUIET] });
      const dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, HOSTILE, QUIET]) await makeDomain(dom0, domid);
      const daemon = await DaemonProcess.start([
        ...["--store", store.socketPath(DRIVER), "--scripts", directory],
        ...["--run-dir", join(directory, "run"), "--time", "hold=0"],
      ], { logFile: join(directory, "log") });
      const guest = await connectTo(store.socketPath(HOSTILE));
      const device = (frontendDomid: number, devid: number) =>
        new HandMadeDevice(dom0, { backendDomid: DRIVER, kind: "vbd", frontendDomid, devid });
      const create = (made: HandMadeDevice) =>
        made.create({ script, params: `/image-${made.id.frontendDomid}`, state: "2", mode: "r" });
      const resident = () => {
        const status = fs.readFileSync(`/proc/${daemon.pid}/status`, "utf8");
        return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
      };
      try {
        const devices = [51712, 51728, 51744].map((devid) => device(HOSTILE, devid));
        for (const made of devices) {
          await create(made);
          await made.reaches("hotplug-status", "connected");
        }
        const pick = numbers(seed || 1);
        const operate = operations(guest, pick);
        let before = 0;
        let done = 0;
        let failed = 0;
        let created = 0;
        for (let quiet = 0; done < OPERATIONS; done += BATCH) {
          const results = await Promise.allSettled(
            Array.from({ length: BATCH }, () => operate(devices[pick(3)]!.frontend)),
          );
          failed += results.filter(({ status }) => status === "rejected").length;
          if (done === WARM_UP) before = resident();
          // Its toolstack makes anew what is gone.
          if (done % 500 !== 0) continue;
          for (const made of devices) {
            if (!await dom0.exists(made.frontend) || !await dom0.exists(made.backend)) {
              await made.nuke();
              await create(made);
              created++;
            }
          }
          // Another guest comes and goes.
          if (done % 5_000 !== 0) continue;
          const other = device(QUIET, 51712 + 16 * (quiet++ % 8));
          await create(other);
          await other.reaches("hotplug-status", "connected", 30_000);
          await other.detach();
          await other.gone();
        }
        const after = resident();
        const lines = daemon.log.split("\n").slice(0, -1);
        console.log(
          `${done} operations, ${failed} refused, ${created} devices made anew; resident ${
            before.toFixed(0)
          } MiB after ${WARM_UP}, ` +
            `${after.toFixed(0)} MiB at the end; ${lines.length} lines of log`,
        );
        expect(failed).toBeLessThan(OPERATIONS / 2);
        expect(after - before).toBeLessThan(GROWTH_MIB);
        expect(lines.filter((line) => !LINE.test(line))).toEqual([]);
        expect(lines.filter((line) => line.startsWith(FORGED))).toEqual([]);
        expect(lines.filter((line) => /[\p{Cc}\p{Cf}\u2028\u2029]/u.test(line))).toEqual([]);
        // What a guest does is no news each time.
        expect(lines.length).toBeLessThan(OPERATIONS / 5);
        expect(daemon.running).toBeTrue();
        expect(await daemon.stop()).toBe(0);
      } finally {
        if (daemon.running) await daemon.stop("SIGKILL");
        guest.close();
        dom0.close();
        await store.stop();
        fs.rmSync(directory, { recursive: true });
      }
    },
    300_000,
  );
}
