/** What cannot be undone stays known, is tried again, and is given up by nobody but a person. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { replay } from "../../core/daemon/journal/format.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, runProgram, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;
const NAME = `vbd/${GUEST}/51712`;
/** Exit statuses: docs/cli.md. */
const [FAILED, NO_DEVICE, NO_ANSWER] = [1, 10, 12] as const;

/** Keeps a diary. Its remove fails for as long as there is a file `busy`, and leaves what it set up. */
const SCRIPT = `#!/bin/sh
here=$(dirname "$0")
echo "$1" >> "$here/diary"
case "$1" in
  add)
    touch "$here/set-up"
    [ -e "$here/broken" ] && { echo "no luck" >&2; exit 3; }
    xenstore-write "$XENBUS_PATH/physical-device" 7:0 "$XENBUS_PATH/hotplug-status" connected;;
  remove)
    [ -e "$here/lingers" ] && { rm "$here/lingers"; (setsid sleep 30 > /dev/null 2>&1 &) ; }
    [ -e "$here/busy" ] && { echo "target is busy" >&2; exit 1; }
    rm -f "$here/set-up";;
esac
exit 0
`;

if (requireReal("undoing that fails", { packages: xenstoredPackages, root: true })) {
  describe("an undoing that fails", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let device: HandMadeDevice;
    let daemon: DaemonProcess;

    beforeEach(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, GUEST]) await makeDomain(dom0, domid);
      directory = await fs.mkdtemp(join(tmpdir(), "xdevd-stuck-"));
      await fs.writeFile(join(directory, "block-own"), SCRIPT, { mode: 0o755 });
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: 51712 };
      device = new HandMadeDevice(dom0, id);
      daemon = await start();
    });

    afterEach(async () => {
      await daemon.stop("SIGKILL");
      dom0.close();
      await store.stop();
      await fs.rm(directory, { recursive: true, force: true });
    });

    const run = () => join(directory, "run");
    const start = (...more: string[]) =>
      DaemonProcess.start([
        ...["--store", store.socketPath(DRIVER), "--scripts", directory, "--run-dir", run()],
        ...["--time", "retry=0.2", "--time", "budget=0.5", ...more],
      ]);
    const touch = (name: string) => fs.writeFile(join(directory, name), "");
    const remove = (name: string) => fs.rm(join(directory, name));
    const diary = async () =>
      (await fs.readFile(join(directory, "diary"), "utf8").catch(() => "")).trim().split("\n");
    const tries = async () => (await diary()).filter((line) => line === "remove").length;
    const record = async () =>
      replay(new Uint8Array(await fs.readFile(join(run(), `devd-${DRIVER}.journal`)))).entries
        .get(NAME);
    const attach = () =>
      device.create({ script: join(directory, "block-own"), params: "/dev/x", state: "2" });
    const tried = (times: number) =>
      until(async () => await tries() >= times, async () => `${await diary()}\n${daemon.log}`);
    const giveUp = (name = NAME) => runProgram(["give-up", name, "--run-dir", run()]);

    async function connected(): Promise<void> {
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon.says(/: connected/);
    }

    test("is tried again until it succeeds; the directory and USR1 say why, the log once", async () => {
      await connected();
      await touch("busy");
      await device.detach();
      await tried(3);
      expect(await device.read("hotplug-error")).toContain("target is busy");
      expect(await record()).toMatchObject({ stage: "removing", held: { script: "begun" } });
      expect(daemon.lines("undoing it failed, and is tried again")).toHaveLength(1);
      process.kill(daemon.pid, "SIGUSR1");
      await daemon.says(
        /stuck: undoing it failed, and is tried again until it succeeds or `xdevd give-up vbd\/7\/51712` ends that: .*target is busy/,
      );
      await remove("busy");
      await device.gone();
      await daemon.says(/undone at last/);
      await until(async () => await record() === undefined, () => "its record is still there");
      expect((await fs.readdir(directory)).includes("set-up")).toBeFalse();
    });

    test("of a failed setup, too: its cause is said first, and its backend is closed", async () => {
      await touch("broken");
      await touch("busy");
      await attach();
      await tried(2);
      await device.reaches("state", "6");
      const error = await device.read("hotplug-error");
      expect(error).toContain("no luck");
      expect(error).toContain("; and then: undoing the failed setup failed too");
      expect(error).toContain("target is busy");
      // The toolstack need not wait for it.
      await device.write("online", "0");
      await device.gone();
      expect(await record()).toBeDefined();
      const before = await tries();
      await tried(before + 1);
      await remove("busy");
      await daemon.says(/: removed/);
      expect((await fs.readdir(directory)).includes("set-up")).toBeFalse();
    });

    test("another attach of the same vdev is refused meanwhile, and served after it", async () => {
      await connected();
      await touch("busy");
      await device.nuke();
      await tried(2);
      await attach();
      await device.reaches("hotplug-status", "busy");
      expect(await device.read("hotplug-error")).toMatch(
        /^not served yet: undoing the attach before it failed, and is tried again: .*target is busy/,
      );
      const before = await tries();
      await tried(before + 1);
      expect((await diary()).filter((line) => line === "add")).toHaveLength(1);
      await remove("busy");
      await device.reaches("hotplug-status", "connected");
      expect(await device.read("hotplug-error")).toBeUndefined();
      const order = (await diary()).join(" ");
      expect(order).toMatch(/^add( remove)+ add$/);
    });

    test("a restarted daemon goes on with it", async () => {
      await connected();
      await touch("busy");
      await device.detach();
      await tried(2);
      expect(await daemon.stop()).toBe(0);
      const before = await tries();
      daemon = await start();
      await tried(before + 2);
      expect(await record()).toBeDefined();
      await daemon.stop("SIGKILL");
      daemon = await start();
      await remove("busy");
      await device.gone();
      await until(async () => await record() === undefined, () => "its record is still there");
      expect((await fs.readdir(directory)).includes("set-up")).toBeFalse();
    });

    test("nothing of one try runs when the next one begins", async () => {
      await connected();
      await touch("busy");
      await touch("lingers");
      await device.detach();
      await tried(2);
      await daemon.says(/processes that an undoing that failed had started were ended/);
      await remove("busy");
      await device.gone();
    });

    test("a person gives it up: its record goes, what is left stays, and the next is served", async () => {
      await connected();
      expect(await giveUp()).toMatchObject({
        code: FAILED,
        stderr: `xdevd: ${NAME} is not stuck: set up\n`,
      });
      await touch("busy");
      await device.detach();
      await tried(2);
      await daemon.says(/and is tried again/);
      const given = await giveUp();
      expect(given).toMatchObject({ code: 0, stderr: "" });
      expect(given.stdout).toMatch(
        /^vbd\/7\/51712: given up; it could not be undone: .*target is busy\n$/,
      );
      await device.gone();
      await daemon.says(/given up, as was asked for: what is left of it stays \(.*target is busy/);
      await until(async () => await record() === undefined, () => "its record is still there");
      const before = await tries();
      expect((await fs.readdir(directory)).includes("set-up")).toBeTrue();
      await remove("busy");
      await attach();
      await device.reaches("hotplug-status", "connected");
      expect(await tries()).toBe(before);
    });

    test("one that is not known, and no daemon at all, are said in one line each", async () => {
      const none = await giveUp("vbd/7/1");
      expect(none).toMatchObject({ code: NO_DEVICE, stdout: "" });
      expect(none.stderr).toBe(
        "xdevd: there is no device vbd/7/1; expected KIND/DOMID/DEVID, such as vbd/7/51712 [no-such-device]\n",
      );
      await daemon.stop();
      const silent = await giveUp();
      expect(silent.code).toBe(NO_ANSWER);
      expect(silent.stderr).toMatch(
        /^xdevd: no daemon answers at .*xdevd\.sock: there is no such socket[^\n]* \[daemon-silent\]\n$/,
      );
    });
  });
}
