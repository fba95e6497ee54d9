/** Requests to a daemon that is a process of its own, killed in each state; with a version 2 script. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../platform/clock.ts";
import { claimRoot, requestPath } from "../../core/requests/protocol/paths.ts";
import { createDomainHome } from "../../simulation/domains.ts";
import { SimulatedKernel } from "../../simulation/kernel.ts";
import { parseDisk } from "../../core/toolstack/specs/disk/parse.ts";
import { diskRequest } from "../../core/requests/toolstack/plan.ts";
import {
  attachByRequest,
  detachByRequest,
  releaseRequest,
} from "../../core/requests/toolstack/request.ts";
import { requestDaemon, setUpRequests } from "../../core/requests/toolstack/setup.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, until } from "../support/daemon_process.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;

const SCRIPT = `#!/bin/sh
here=$(dirname "$0")
echo "begin $1" >> "$here/diary"
sleep "$(cat "$here/$1-takes" 2>/dev/null || echo 0)"
case "$1" in
version) xenstore-write "$HOTPLUG_PATH/version" 2 ;;
add)
  xenstore-write "$BACKEND_PATH/physical-device" 7:0 "$BACKEND_PATH/params" /dev/loop0 \\
    "$HOTPLUG_PATH/pdev" /dev/loop0 ;;
esac
echo "end $1" >> "$here/diary"
`;

if (requireReal("requests to a daemon's process", { packages: xenstoredPackages })) {
  describe("a daemon's process", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let kernelStore: StoreClient;
    let kernel: SimulatedKernel;
    let directory: string;
    let daemon: DaemonProcess | null = null;

    const request = diskRequest(
      parseDisk(["format=raw,vdev=xvda,access=rw,script=block-slow,target=some target"]),
      { frontendDomid: GUEST, backendDomid: DRIVER, devid: 51712 },
    );
    const path = requestPath(request.id);
    const patient = { waits: { waiting: 20_000, detaching: 300, forcing: 20_000 } };

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      await createDomainHome(dom0, { domid: DRIVER, name: "driver" });
      await createDomainHome(dom0, { domid: GUEST, name: "guest" });
      await setUpRequests(dom0, DRIVER);
      kernelStore = await connectTo(store.socketPath(DRIVER));
      kernel = new SimulatedKernel(kernelStore, DRIVER, systemClock);
      await kernel.start();
    });

    afterAll(async () => {
      await kernel.stop();
      kernelStore.close();
      dom0.close();
      await store.stop();
    });

    beforeEach(async () => {
      directory = await fs.mkdtemp(join(tmpdir(), "xdevd-requests-"));
      await fs.writeFile(join(directory, "block-slow"), SCRIPT, { mode: 0o755 });
    });

    afterEach(async () => {
      await daemon?.stop("SIGKILL");
      daemon = null;
      await fs.rm(directory, { recursive: true });
    });

    async function start(): Promise<void> {
      daemon = await DaemonProcess.start([
        "--store",
        store.socketPath(DRIVER),
        "--scripts",
        directory,
        "--run-dir",
        join(directory, "run"),
        "--log-level",
        "debug",
      ]);
      await until(async () => await requestDaemon(dom0, DRIVER) !== undefined, () => daemon!.log);
    }

    const diary = async () =>
      (await fs.readFile(join(directory, "diary"), "utf8")).trim().split("\n");

    async function nothingIsLeft(): Promise<void> {
      expect(await dom0.list(`/hotplug/domain/${DRIVER}`)).toEqual(["daemon"]);
      expect(await dom0.list(`/local/domain/${DRIVER}/backend`)).toEqual([]);
      expect(await dom0.listOptional(claimRoot(DRIVER))).toEqual([]);
      expect(await dom0.exists(`/libxl/${GUEST}/device/vbd/51712`)).toBeFalse();
      expect(await dom0.exists(`/local/domain/${GUEST}/device/vbd/51712`)).toBeFalse();
    }

    test("prepares, holds, adds, removes, unprepares; and says when it goes", async () => {
      await start();
      expect((await attachByRequest(dom0, request, { ...patient, hold: true })).state).toBe("held");
      expect(await diary()).toEqual([
        "begin version",
        "end version",
        "begin prepare",
        "end prepare",
      ]);
      const served = await releaseRequest(dom0, request.id, patient);
      expect(served).toMatchObject({ state: "connected", pdev: "/dev/loop0" });
      expect((await diary()).slice(4)).toEqual(["begin add", "end add"]);
      await detachByRequest(dom0, request.id, patient);
      expect((await diary()).slice(6))
        .toEqual(["begin remove", "end remove", "begin unprepare", "end unprepare"]);
      await nothingIsLeft();
      await daemon?.stop();
      expect(await requestDaemon(dom0, DRIVER)).toBeUndefined();
    }, 60_000);

    for (
      const [state, slow] of [
        ["preparing", "prepare"],
        ["prepared", null],
        ["connecting", "add"],
        ["connected", null],
        ["disconnecting", "remove"],
      ] as const
    ) {
      test(`killed in state ${state}, is followed by one that goes on`, async () => {
        if (slow !== null) await fs.writeFile(join(directory, `${slow}-takes`), "0.5");
        await start();
        const hold = state === "prepared";
        const attached = attachByRequest(dom0, request, { ...patient, hold });
        let work: Promise<unknown> = attached;
        attached.catch(() => {});
        if (state === "disconnecting") {
          await attached;
          work = detachByRequest(dom0, request.id, patient);
          work.catch(() => {});
        }
        await until(
          async () =>
            await dom0.readOptional(`${path}/state`) === state &&
            (slow === null || (await diary().catch((): string[] => [])).includes(`begin ${slow}`)),
          () => daemon!.log,
        );
        await daemon!.stop("SIGKILL");
        await start();
        await work.catch((error) => {
          throw new Error(`${error.message}\n${daemon?.log}`);
        });
        if (hold) await releaseRequest(dom0, request.id, patient);
        if (state !== "disconnecting") {
          expect(await dom0.readText(`${path}/state`)).toBe("connected");
          await detachByRequest(dom0, request.id, patient);
        }
        await nothingIsLeft();
        expect((await diary()).at(-1)).toBe("end unprepare");
      }, 60_000);
    }
  });
}
