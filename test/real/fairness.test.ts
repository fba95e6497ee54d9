/** One guest with many slow devices, or a restless one, does not delay another guest. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GREEDY = 7;
const MODEST = 8;

/** Slow for the greedy guest. */
const SCRIPT = `#!/bin/sh
here=$(dirname "$0")
echo "begin $1 $XENBUS_PATH" >> "$here/diary"
case "$1 $XENBUS_PATH" in
"add backend/vbd/${GREEDY}/"*) sleep 1 ;;
esac
if [ "$1" = add ]; then
  xenstore-write "$XENBUS_PATH/physical-device" 7:0 "$XENBUS_PATH/hotplug-status" connected
fi
echo "end $1 $XENBUS_PATH" >> "$here/diary"
`;

if (requireReal("guests that would delay each other", { packages: xenstoredPackages })) {
  describe("guests", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let daemon: DaemonProcess;

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GREEDY, MODEST] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, GREEDY, MODEST]) await makeDomain(dom0, domid);
      directory = await fs.mkdtemp(join(tmpdir(), "xdevd-fairness-"));
      await fs.writeFile(join(directory, "block-slow"), SCRIPT, { mode: 0o755 });
      daemon = await DaemonProcess.start([
        "--store",
        store.socketPath(DRIVER),
        "--scripts",
        directory,
        "--run-dir",
        join(directory, "run"),
      ]);
    });

    afterAll(async () => {
      await daemon.stop("SIGKILL");
      dom0.close();
      await store.stop();
      await fs.rm(directory, { recursive: true, force: true });
    });

    async function attach(guest: number, devid: number): Promise<HandMadeDevice> {
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: guest, devid };
      const device = new HandMadeDevice(dom0, id);
      await device.create({
        script: join(directory, "block-slow"),
        params: `/dev/${guest}-${devid}`,
        state: "2",
      });
      return device;
    }

    const diary = async () =>
      (await fs.readFile(join(directory, "diary"), "utf8")).trimEnd().split("\n");

    test("eight slow devices of one, four at a time; the other one's is there first", async () => {
      const greedy: HandMadeDevice[] = [];
      for (let devid = 0; devid < 8; devid++) greedy.push(await attach(GREEDY, devid));
      const modest = await attach(MODEST, 0);
      await modest.reaches("hotplug-status", "connected");
      const over = (await diary()).filter((line) =>
        line.startsWith(`end add backend/vbd/${GREEDY}/`)
      );
      expect(over).toEqual([]);
      for (const device of greedy) await device.reaches("hotplug-status", "connected");
      let running = 0;
      let most = 0;
      for (const line of await diary()) {
        if (!line.includes(`/${GREEDY}/`)) continue;
        running += line.startsWith("begin") ? 1 : -1;
        most = Math.max(most, running);
      }
      expect(most).toBe(4);
      const all = [...greedy, modest];
      await Promise.all(all.map((device) => device.detach()));
      await Promise.all(all.map((device) => device.gone()));
    }, 30_000);

    test(
      "while one changes its state without a pause, the other attaches and detaches",
      async () => {
        const restless = await attach(GREEDY, 0);
        await restless.reaches("hotplug-status", "connected");
        const kernel = await connectTo(store.socketPath(DRIVER));
        await restless.write("state", "4");
        const before = (await diary()).length + 1;
        let over = false;
        let flips = 0;
        const flipping = (async () => {
          while (!over) {
            const states = ["5", "6", "2", "4"];
            await Promise.all(
              states.map((state) => kernel.write(`${restless.backend}/state`, state)),
            );
            flips += states.length;
          }
        })();
        for (let round = 0; round < 5; round++) {
          const modest = await attach(MODEST, 0);
          await modest.reaches("hotplug-status", "connected");
          await modest.detach();
          await modest.gone();
        }
        over = true;
        await flipping;
        kernel.close();
        expect(flips).toBeGreaterThan(1_000);
        await restless.write("state", "4");
        // Its own device was set up once, however often it came and went.
        const again = (await diary()).slice(before)
          .filter((line) => line.startsWith(`begin add backend/vbd/${GREEDY}/`));
        expect(again).toEqual([]);
        await restless.detach();
        await restless.gone();
      },
      30_000,
    );
  });
}
