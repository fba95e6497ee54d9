/**
 * The QEMU kinds on Debian's xenstored and real processes: a script stands in for QEMU, which would
 * need Xen. The guest and the toolstack are played by hand.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { XenbusState } from "../../core/xen/states.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;
const HOME = `/local/domain/${DRIVER}`;
const MODEL = `${HOME}/device-model/${GUEST}`;
const PID = `${HOME}/libxl/${GUEST}/qdisk-backend-pid`;
const STAND_IN = join(dirname(fileURLToPath(import.meta.url)), "qemu_stand_in.sh");
const REAL = "/usr/libexec/xen-qemu-system-i386";

const needs = { packages: xenstoredPackages, root: true };
if (requireReal("the QEMU kinds", needs)) {
  describe("the QEMU kinds", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let guest: StoreClient;
    let directory: string;
    let binary: string;
    let daemon: DaemonProcess;
    let disk: HandMadeDevice;
    let files: HandMadeDevice;

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      guest = await connectTo(store.socketPath(GUEST));
      for (const domid of [DRIVER, GUEST]) await makeDomain(dom0, domid);
      // As for a domain with driver_domain=1.
      for (const name of ["libxl", "device-model"]) {
        await dom0.makeDirectory(`${HOME}/${name}`);
        await dom0.setPermissions(`${HOME}/${name}`, [{ domid: DRIVER, access: "none" }]);
      }
    });

    afterAll(async () => {
      dom0.close();
      guest.close();
      await store.stop();
    });

    beforeEach(() => {
      directory = fs.mkdtempSync(join(tmpdir(), "xdevd-qemu-"));
      binary = join(directory, "qemu");
      fs.copyFileSync(STAND_IN, binary);
      fs.chmodSync(binary, 0o755);
      const id = { backendDomid: DRIVER, frontendDomid: GUEST };
      disk = new HandMadeDevice(dom0, { ...id, kind: "qdisk", devid: 51712 }, "vbd");
      files = new HandMadeDevice(dom0, { ...id, kind: "9pfs", devid: 0 });
    });

    afterEach(async () => {
      await disk.nuke();
      await files.nuke();
      await until(() => running().length === 0, () => `${running()} run:\n${daemon.log}`);
      await until(async () => !await dom0.exists(MODEL), () => `its nodes stay:\n${daemon.log}`);
      expect(await daemon.stop()).toBe(0);
      fs.rmSync(directory, { recursive: true });
    });

    async function start(settings: Record<string, unknown> = { binary }): Promise<void> {
      const config = join(directory, "config.toml");
      const lines = Object.entries(settings).map(([name, value]) =>
        `${name} = ${JSON.stringify(value)}\n`
      );
      fs.writeFileSync(config, `[plugins.qemu.settings]\n${lines.join("")}`, { mode: 0o644 });
      daemon = await DaemonProcess.start([
        ...["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")],
        ...["--config", config, "--log-level", "debug", "--time", "check=0.3"],
        ...["--time", "qemuExit=0.3"],
      ]);
    }

    const at = (file: string) => join(directory, file);
    const tell = (file: string, text = "") => fs.writeFileSync(at(file), text);
    const tellNoMore = (file: string) => fs.rmSync(at(file));
    const linesOf = (file: string) =>
      fs.existsSync(at(file)) ? fs.readFileSync(at(file), "utf8").trim().split("\n") : [];
    /** Processes that were ever started. */
    const started = () => linesOf("pids").map(Number);
    const running = () => started().filter((pid) => fs.existsSync(`/proc/${pid}`));
    const oneRuns = async (not?: number): Promise<number> => {
      await until(
        () => running().length === 1 && running()[0] !== not,
        () => `${running()} run:\n${daemon.log}`,
      );
      return running()[0]!;
    };

    const attach = async (device: HandMadeDevice) => {
      await device.create({ params: "aio:/image" });
      await device.reaches("hotplug-status", "connected");
      await until(() => daemon.lines(": connected").length > 0, () => daemon.log);
    };
    const guestWrites = (device: HandMadeDevice, state: XenbusState) =>
      guest.write(`${device.frontend}/state`, String(state));
    const connect = async (device: HandMadeDevice) => {
      await guestWrites(device, XenbusState.Connected);
      await device.reaches("state", "4");
    };
    /** As a toolstack asks for it. */
    const detach = async (device: HandMadeDevice) => {
      await dom0.transaction(async (t) => {
        await t.write(`${device.backend}/online`, "0");
        await t.write(`${device.backend}/state`, "5");
      });
      await until(
        async () => !await dom0.exists(device.backend),
        async () => `${JSON.stringify(await device.nodes())}\n${daemon.log}`,
      );
    };

    test("one serves a guest's disk and its files, and is ended with the last of them", async () => {
      await start();
      await attach(disk);
      const pid = await oneRuns();
      expect(linesOf("arguments")).toEqual([
        "-xen-domid 7 -xen-attach -name domain-7 -nographic -M xenpv -monitor /dev/null " +
        "-serial /dev/null -parallel /dev/null",
      ]);
      expect(await dom0.readText(PID)).toBe(String(pid));
      const parent = /\) \S (\d+)/.exec(fs.readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
      expect(Number(parent)).toBe(daemon.pid);
      await attach(files);
      await connect(disk);
      await detach(disk);
      expect(running()).toEqual([pid]);
      expect(linesOf("signals")).toEqual([]);
      await detach(files);
      await until(() => running().length === 0, () => daemon.log);
      expect(linesOf("signals")).toEqual(["HUP"]);
      expect(started()).toEqual([pid]);
      expect(await dom0.exists(`${HOME}/libxl/${GUEST}`)).toBeFalse();
    });

    test("a state that an earlier one has left is not believed", async () => {
      await dom0.write(`${MODEL}/state`, "running");
      tell("hangs");
      await start();
      await disk.create({ params: "aio:/image" });
      await oneRuns();
      await until(async () => !await dom0.exists(`${MODEL}/state`), () => daemon.log);
      expect(daemon.lines("QEMU runs")).toEqual([]);
      tellNoMore("hangs");
      await disk.reaches("hotplug-status", "connected");
    });

    test("fault 3: a disk that was there before the daemon is served", async () => {
      await disk.create({ params: "aio:/image" });
      await start();
      await disk.reaches("hotplug-status", "connected");
      await connect(disk);
    });

    test("killed: another one is started, and given what the guest had not connected", async () => {
      await start();
      await attach(disk);
      await attach(files);
      await connect(files);
      const pid = await oneRuns();
      process.kill(pid, "SIGKILL");
      await files.reaches("hotplug-error", /the QEMU that serve/);
      await files.reaches("state", "5");
      const next = await oneRuns(pid);
      expect(await dom0.readText(PID)).toBe(String(next));
      await daemon.says(/qdisk\/7\/51712\): given to the QEMU that runs now/);
      await disk.reaches("state", "2");
      expect(await disk.read("hotplug-error")).toBeUndefined();
      expect(daemon.log).toMatch(/error +device-model\/7: QEMU ended: killed by SIGKILL/);
      expect(daemon.log).toMatch(/error +9pfs\/7\/0: the QEMU that serve/);
      // The guest lets go, and starts anew.
      await guestWrites(files, XenbusState.Closed);
      await files.reaches("state", "2");
      expect(await files.read("hotplug-error")).toBeUndefined();
      await connect(files);
    });

    test("killed again and again: later each time, and no more when it is not needed", async () => {
      await start();
      await attach(disk);
      for (const pause of [1, 2]) {
        const pid = await oneRuns();
        process.kill(pid, "SIGKILL");
        await daemon.says(new RegExp(`QEMU will be started again in ${pause} s`));
        await oneRuns(pid);
        await until(() => daemon.lines("QEMU runs").length === pause + 1, () => daemon.log);
      }
      process.kill(await oneRuns(), "SIGKILL");
      await daemon.says(/QEMU will be started again in 4 s/);
      await detach(disk);
      expect(await dom0.exists(PID)).toBeFalse();
      expect(started()).toHaveLength(3);
    });

    test("a connected disk whose QEMU was killed can be detached all the same", async () => {
      await start();
      await attach(disk);
      await connect(disk);
      process.kill(await oneRuns(), "SIGKILL");
      await disk.reaches("state", "5");
      await detach(disk);
    });

    test("the daemon is killed: the next one takes QEMU up, and starts another if that dies", async () => {
      await start();
      await attach(disk);
      await connect(disk);
      const pid = await oneRuns();
      await daemon.stop("SIGKILL");
      await start();
      await daemon.says(/device-model\/7: QEMU is there already, process \d+: taken up/);
      await daemon.says(/qdisk\/7\/51712\): was set up before: adopted/);
      expect([running(), started()]).toEqual([[pid], [pid]]);
      expect(linesOf("signals")).toEqual([]);
      expect(await disk.read("state")).toBe("4");
      // It is no child of this daemon's.
      process.kill(pid, "SIGKILL");
      await daemon.says(/QEMU ended: nobody knows how/);
      await disk.reaches("state", "5");
      await oneRuns(pid);
    });

    test("the daemon is killed, and QEMU as well: the disk is not left waiting", async () => {
      await start();
      await attach(disk);
      const pid = await oneRuns();
      await daemon.stop("SIGKILL");
      process.kill(pid, "SIGKILL");
      await until(() => running().length === 0, () => "it runs");
      await start();
      await daemon.says(/given to the QEMU that runs now/);
      await disk.reaches("state", "2");
      await oneRuns(pid);
    });

    test("the daemon is killed while QEMU starts: there are never two", async () => {
      tell("hangs");
      await start();
      await disk.create({ params: "aio:/image" });
      const pid = await oneRuns();
      await daemon.stop("SIGKILL");
      await start();
      const next = await oneRuns(pid);
      tellNoMore("hangs");
      await disk.reaches("hotplug-status", "connected");
      expect(running()).toEqual([next]);
    });

    test("the daemon is killed at any instant of attaching and detaching: nothing is left", async () => {
      for (const ms of [0, 5, 15, 40, 80, 120, 200, 300]) {
        await start();
        await Promise.all([disk, files].map((device) => device.create({ params: "aio:/image" })));
        await Bun.sleep(ms);
        await daemon.stop("SIGKILL");
        await start();
        for (const device of [disk, files]) await device.reaches("state", "2");
        expect(running()).toHaveLength(1);
        const gone = [disk, files].map(detach);
        await Bun.sleep(ms);
        await daemon.stop("SIGKILL");
        await start();
        await Promise.all(gone);
        await until(() => running().length === 0, () => `${running()} run:\n${daemon.log}`);
        await until(async () => !await dom0.exists(MODEL), () => `its nodes stay:\n${daemon.log}`);
        await daemon.stop();
      }
      await start();
    });

    test("one that an earlier `xl devd` had started is taken up", async () => {
      const argv = [binary, "-xen-domid", String(GUEST), "-xen-attach"];
      const foreign = Bun.spawn(argv, {
        env: {
          PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
          XENSTORED_PATH: store.socketPath(DRIVER),
        },
      });
      // A script's command line has its interpreter first; all that counts comes after.
      await until(() => dom0.exists(`${MODEL}/state`), () => "it does not start");
      await dom0.write(PID, String(foreign.pid));
      await disk.create({ params: "aio:/image" });
      await disk.reaches("state", "2");
      await start();
      await daemon.says(/qdisk\/7\/51712\): was set up before: adopted/);
      expect(running()).toEqual([foreign.pid]);
      await detach(disk);
      await foreign.exited;
      expect(linesOf("signals")).toEqual(["HUP"]);
    });

    test("one that ignores HUP gets TERM, one that ignores that gets KILL", async () => {
      tell("ignores-HUP");
      tell("ignores-TERM");
      await start();
      await attach(disk);
      await oneRuns();
      await detach(disk);
      expect(linesOf("signals")).toEqual(["HUP", "TERM"]);
      expect(running()).toEqual([]);
    });

    test("there is no QEMU: the toolstack is told what to do about it", async () => {
      await start({ binary: at("nothing") });
      await disk.create({ params: "aio:/image" });
      await disk.reaches("hotplug-status", "error");
      expect(await disk.read("hotplug-error")).toBe(
        `QEMU ${at("nothing")} does not exist: install it (Debian: package qemu-system-xen), or ` +
          "name another one as binary in [plugins.qemu.settings] of the configuration [program-missing]",
      );
      await disk.reaches("state", "6");
    });

    test("it ends at once: each of its devices tells what it said, and the next one works", async () => {
      tell("fails", "warning: one\nfatal: two\n");
      await start();
      await Promise.all([disk, files].map((device) => device.create({ params: "aio:/image" })));
      for (const device of [disk, files]) {
        await device.reaches("hotplug-status", "error");
        expect(await device.read("hotplug-error"))
          .toBe(
            "the guest's QEMU does not start: it ended: exit status 1: fatal: two [qemu-ended]",
          );
      }
      expect(daemon.log).toContain("device-model/7: qemu: warning: one");
      tellNoMore("fails");
      await disk.nuke();
      await attach(disk);
    });

    if (fs.existsSync(REAL)) {
      test("Debian's QEMU, which finds no Xen here: the same", async () => {
        await start({});
        await disk.create({ params: "aio:/image" });
        await disk.reaches("hotplug-status", "error");
        expect(await disk.read("hotplug-error")).toBe(
          "the guest's QEMU does not start: it ended: exit status 1: xen-qemu-system-i386: " +
            "failed to initialize xen: Operation not permitted [qemu-ended]",
        );
      });
    }

    test("the guest dies: its QEMU gets time to end, and is ended then", async () => {
      await start();
      await attach(disk);
      await connect(disk);
      await dom0.remove(disk.frontend);
      await disk.gone();
      await daemon.says(/its guest is gone: its QEMU gets time to end/);
      await until(() => running().length === 0, () => daemon.log);
    });

    test("QEMU removes the directory itself when all is over: fault 24", async () => {
      await start();
      await attach(disk);
      await dom0.remove(disk.backend);
      await until(() => running().length === 0, () => daemon.log);
      await daemon.says(/qdisk\/7\/51712\): removed/);
    });

    test("fault 25: other QEMU kinds are attached at once, without a QEMU unless asked for", async () => {
      const id = { backendDomid: DRIVER, frontendDomid: GUEST, kind: "qusb", devid: 0 };
      const usb = new HandMadeDevice(dom0, id, "vusb");
      await start();
      await usb.create({ type: "pv" });
      await daemon.says(/qusb\/7\/0: connected/);
      expect(started()).toEqual([]);
      await usb.detach();
      await usb.gone();
      await daemon.stop();
      await start({ binary, serve: ["qusb"] });
      await usb.create({ type: "pv" });
      await oneRuns();
      await usb.reaches("state", "2");
      await detach(usb);
      await usb.nuke();
    });
  });
}
