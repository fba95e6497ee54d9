/** What a setup failed with reaches a person, however fast the toolstack reacts; on Debian's xenstored. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;

/** Says why it fails, as Debian's helpers do, and is still there when that is read. */
const FAILS_SLOWLY = `#!/bin/sh
[ "$1" = add ] || exit 0
xenstore-write "$XENBUS_PATH/hotplug-error" "the tape is torn" "$XENBUS_PATH/hotplug-status" error
sleep 30
exit 3
`;

const WORKS_LONG = `#!/bin/sh
[ "$1" = add ] || exit 0
xenstore-write "$XENBUS_PATH/begun" yes
sleep 30
`;

/** Cleans up when it is told to end. */
const ENDS_ORDERLY = `#!/bin/bash
[ "$1" = add ] || exit 0
trap 'exit 1' TERM
xenstore-write "$XENBUS_PATH/begun" yes
sleep 30 & wait
`;

const needs = { packages: [...xenstoredPackages], root: true };
if (requireReal("setups that are stopped", needs)) {
  describe("a setup that is stopped", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let daemon: DaemonProcess;
    let directory: string;
    let devid = 0;

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      await makeDomain(dom0, DRIVER);
      await makeDomain(dom0, GUEST);
      directory = await mkdtemp(join(tmpdir(), "xdevd-stopped-"));
      const options = ["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")];
      daemon = await DaemonProcess.start([...options, "--scripts", directory]);
    });

    afterAll(async () => {
      expect(await daemon.stop()).toBe(0);
      dom0.close();
      await store.stop();
      await rm(directory, { recursive: true });
    });

    async function attach(name: string, text: string) {
      const script = join(directory, name);
      await writeFile(script, text, { mode: 0o755 });
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: ++devid };
      const device = new HandMadeDevice(dom0, id);
      await device.create({ script, params: "a tape", begun: "" });
      await device.write("state", "2");
      return { device, name: `vbd/${GUEST}/${devid}:` };
    }

    const lines = (name: string, level: "error" | "warning") =>
      daemon.lines(name).filter((line) => line.includes(` ${level}: `) || line.includes(level));

    test("a toolstack that reacts before the script has ended: the script's words, once", async () => {
      const { device, name } = await attach("fails-slowly", FAILS_SLOWLY);
      await device.reaches("hotplug-status", "error");
      await device.detach();
      await device.gone();
      expect(daemon.lines(name).filter((line) => line.includes("the tape is torn"))).toHaveLength(
        1,
      );
      expect(lines(name, "error").join()).toContain("the tape is torn");
      expect(lines(name, "error").join()).not.toContain("no longer wanted");
    });

    test("one that deletes all at once: the same", async () => {
      const { device, name } = await attach("fails-slowly", FAILS_SLOWLY);
      await device.reaches("hotplug-status", "error");
      await device.nuke();
      await daemon.says(new RegExp(`${name} removed`));
      expect(lines(name, "error").join()).toContain("the tape is torn");
    });

    test("one that begins to detach: the words stay in hotplug-error until the end", async () => {
      const { device, name } = await attach("fails-slowly", FAILS_SLOWLY);
      await device.reaches("hotplug-status", "error");
      await device.write("online", "0");
      await device.write("state", "5");
      await daemon.says(new RegExp(`${name}.*the tape is torn`));
      expect(await device.read("hotplug-error")).toBe("the tape is torn");
      await device.write("state", "6");
      await device.gone();
    });

    for (const [script, text] of [["works-long", WORKS_LONG], ["ends-orderly", ENDS_ORDERLY]]) {
      test(`${script}, stopped because nobody wants it any more, is no error`, async () => {
        const { device, name } = await attach(script!, text!);
        await device.reaches("begun", "yes");
        await device.detach();
        await device.gone();
        expect(lines(name, "error")).toEqual([]);
        expect(daemon.lines(name).join()).toMatch(/stop/);
      });
    }
  });
}
