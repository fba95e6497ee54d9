/** Stopping, killing and starting the daemon again, with scripts that take their time. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { leftInData } from "../support/driver_data.ts";
import { DaemonProcess, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;

/** Says what it does in a diary; takes as long as a file says. */
const SCRIPT = `#!/bin/sh
here=$(dirname "$0")
takes=$(cat "$here/$1-takes" 2>/dev/null || echo 0)
echo "begin $1" >> "$here/diary"
ls -l /proc/self/fd > "$here/descriptors"
xenstore-read "$XENBUS_PATH/params" "$XENBUS_PATH/physical-device" > "$here/$1-sees" 2>&1
sleep "$takes"
if [ "$1" = add ]; then
  xenstore-write "$XENBUS_PATH/physical-device" 7:0 "$XENBUS_PATH/hotplug-status" connected
fi
echo "end $1" >> "$here/diary"
`;

if (requireReal("stopping and starting the daemon", { packages: xenstoredPackages })) {
  describe("the daemon", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let device: HandMadeDevice;
    let daemon: DaemonProcess | null = null;

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, GUEST]) await makeDomain(dom0, domid);
    });

    afterAll(async () => {
      dom0.close();
      await store.stop();
    });

    beforeEach(async () => {
      directory = await fs.mkdtemp(join(tmpdir(), "xdevd-restart-"));
      await fs.writeFile(join(directory, "block-slow"), SCRIPT, { mode: 0o755 });
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: 51712 };
      device = new HandMadeDevice(dom0, id);
    });

    afterEach(async () => {
      await daemon?.stop("SIGKILL");
      daemon = null;
      await device.nuke();
      await fs.rm(directory, { recursive: true, force: true });
    });

    async function start(...options: string[]): Promise<DaemonProcess> {
      return daemon = await DaemonProcess.start([
        "--store",
        store.socketPath(DRIVER),
        "--scripts",
        directory,
        "--run-dir",
        join(directory, "run"),
        "--log-level",
        "debug",
        ...options,
      ]);
    }

    const takes = (action: "add" | "remove", seconds: number) =>
      fs.writeFile(join(directory, `${action}-takes`), String(seconds));

    async function attach(): Promise<void> {
      await device.create({ script: join(directory, "block-slow"), params: "/dev/x", state: "2" });
    }

    async function diary(): Promise<string[]> {
      const text = await fs.readFile(join(directory, "diary"), "utf8").catch(() => "");
      return text.trimEnd().split("\n");
    }

    async function diarySays(...lines: string[]): Promise<void> {
      const wanted = lines.join(", ");
      await until(
        async () => (await diary()).join(", ") === wanted,
        async () => `the diary says ${(await diary()).join(", ")}\n${daemon?.log}`,
      );
    }

    test("fault 14: a script inherits nothing of the daemon's but its standard streams", async () => {
      await start();
      await attach();
      await device.reaches("hotplug-status", "connected");
      const listing = await fs.readFile(join(directory, "descriptors"), "utf8");
      const descriptors = [...listing.matchAll(/ (\d+) -> (\S+)/g)].map(([, fd, to]) =>
        `${fd} ${to}`
      );
      // The last one is that of ls itself, for the directory.
      expect(descriptors.filter((line) => !/^[012] |\/proc\/\d+\/fd$/.test(line))).toEqual([]);
      expect(descriptors[0]).toBe("0 /dev/null");
    });

    test("fault 17: a directory deleted by force: the script undoes it on a copy of its nodes", async () => {
      await start();
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      await device.nuke();
      await diarySays("begin add", "end add", "begin remove", "end remove");
      await daemon?.says(/: removed/);
      expect(await fs.readFile(join(directory, "remove-sees"), "utf8")).toBe("/dev/x\n7:0\n");
      expect(await leftInData(dom0, DRIVER)).toEqual([]);
      // Unless the frontend's deletion was seen first, which is said otherwise; and whether this
      // machine has a loop device 0 without a file, which is told of, is no matter here.
      const others = daemon?.lines("warning").filter((line) =>
        !/its directory was|has no sector/.test(line)
      );
      expect(others).toEqual([]);
    });

    test("told to stop, it lets a script come to its end", async () => {
      await start();
      await takes("add", 0.7);
      await attach();
      await diarySays("begin add");
      expect(await daemon?.stop()).toBe(0);
      await diarySays("begin add", "end add");
      await start();
      await daemon?.says(/was set up before: adopted/);
      await diarySays("begin add", "end add");
    });

    test("a script that takes too long then is ended; the next daemon undoes and redoes it", async () => {
      await start("--time", "stop=0.3");
      await takes("add", 30);
      await attach();
      await diarySays("begin add");
      const before = performance.now();
      expect(await daemon?.stop()).toBe(0);
      expect(performance.now() - before).toBeLessThan(3_000);
      await takes("add", 0);
      await start();
      await device.reaches("hotplug-status", "connected");
      await diarySays("begin add", "begin remove", "end remove", "begin add", "end add");
    });

    test("told to stop while it removes, it finishes: the toolstack waits for that", async () => {
      await start();
      await attach();
      await daemon?.says(/: connected/);
      await takes("remove", 0.5);
      await device.detach();
      await diarySays("begin add", "end add", "begin remove");
      expect(await daemon?.stop()).toBe(0);
      expect(await dom0.exists(device.backend)).toBeFalse();
    });

    test("killed while a script runs: the next daemon waits for its end, and does not run it again", async () => {
      await start();
      await takes("add", 1);
      await attach();
      await diarySays("begin add");
      await daemon?.stop("SIGKILL");
      await start();
      await daemon?.says(/its setup had succeeded meanwhile: adopted/);
      await diarySays("begin add", "end add");
    });

    test("fault 27: killed while a script hangs: the next daemon ends all of it, undoes and redoes", async () => {
      await start();
      await takes("add", 1234);
      await attach();
      await diarySays("begin add");
      await daemon?.stop("SIGKILL");
      await takes("add", 0);
      await start("--time", "orphans=0.3");
      await device.reaches("hotplug-status", "connected");
      expect(daemon?.log).toContain("processes that an earlier daemon had started were ended");
      await diarySays("begin add", "begin remove", "end remove", "begin add", "end add");
      expect(spawnSync("pgrep", ["-f", "^sleep 1234$"]).stdout.toString()).toBe("");
    });

    test("fault 15: with --drain it closes all devices before it ends", async () => {
      await start("--drain");
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      await device.write("state", "4");
      const ended = daemon?.stop();
      await device.reaches("online", "0");
      await device.reaches("state", "5");
      // The guest has noticed.
      await device.write("state", "6");
      expect(await ended).toBe(0);
      expect(await dom0.exists(device.backend)).toBeFalse();
      await diarySays("begin add", "end add", "begin remove", "end remove");
      expect(daemon?.log).toContain("stopped; no devices are left");
    });

    test("fault 15: a second signal ends the waiting for guests", async () => {
      await start("--drain");
      await attach();
      await device.reaches("hotplug-status", "connected");
      await daemon?.says(/: connected/);
      await device.write("state", "4");
      daemon?.stop();
      await device.reaches("state", "5");
      expect(await daemon?.stop()).toBe(0);
      expect(await dom0.exists(device.backend)).toBeTrue();
      expect(daemon?.log).toContain("1 device stays as it is");
    });

    test("a journal that cannot be written: nothing is begun, and the attach says why", async () => {
      const run = join(directory, "run");
      await fs.mkdir(run);
      // One page: enough for the lock and an empty journal, not for much more.
      const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=8k,mode=700", "tmpfs", run]);
      if (mount.status !== 0) return console.log("  no tmpfs can be mounted: not tested");
      try {
        await start();
        await fs.writeFile(join(run, "filler"), Buffer.alloc(8192)).catch(() => {});
        const journal = join(run, `devd-${DRIVER}.journal`);
        const { size } = await fs.stat(journal);
        // Fill up its own page too.
        await fs.appendFile(journal, Buffer.alloc(4096 - size % 4096));
        await attach();
        await device.reaches("hotplug-status", "error");
        expect(await device.read("hotplug-error")).toMatch(/journal .* cannot be written: ENOSPC/);
        expect(await diary()).toEqual([""]);
      } finally {
        await daemon?.stop();
        spawnSync("umount", [run]);
      }
    });
  });
}
