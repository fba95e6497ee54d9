/**
 * A daemon that lacks something: processes, threads, descriptors, room, or the right to write. Attaches fail
 * with one line that names the cause, detaches are done or kept for later, nothing is left, and it goes on.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { replay } from "../../core/daemon/journal/format.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, programCommand, runProgram, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { HeldNamespace } from "../support/held_namespace.ts";
import { PidsGroup } from "../support/pids_group.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUESTS = [7, 8, 9, 10];
const PATIENCE_MS = 30_000;

/** What it sets up is a file. */
const SCRIPT = `#!/bin/sh
here=$(dirname "$0")
name=$(xenstore-read "$XENBUS_PATH/params")
case "$1" in
  add)
    touch "$here/set-up-$name" || exit 1
    xenstore-write "$XENBUS_PATH/physical-device" 1:0 "$XENBUS_PATH/hotplug-status" connected;;
  remove) rm -f "$here/set-up-$name";;
esac
exit 0
`;

const packages = [...xenstoredPackages, "mount", "e2fsprogs"];
if (requireReal("a daemon that lacks something", { packages, root: true })) {
  describe("a daemon that lacks", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let daemon: DaemonProcess | null;
    /** Where its run directory is, as seen from here. */
    let run: string;
    /** Undoes what a test has made, in the end. */
    let cleanUp: (() => unknown)[];

    beforeEach(async () => {
      cleanUp = [];
      daemon = null;
      store = await startXenstored({ domains: [DRIVER, ...GUESTS] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, ...GUESTS]) await makeDomain(dom0, domid);
      directory = fs.mkdtempSync(join(tmpdir(), "xdevd-scarce-"));
      fs.mkdirSync(join(directory, "scripts"), { mode: 0o755 });
      fs.writeFileSync(join(directory, "scripts", "block-own"), SCRIPT, { mode: 0o755 });
      const config = '[plugins.vbd.settings]\nnative = "always"\n';
      fs.writeFileSync(join(directory, "config.toml"), config, { mode: 0o644 });
      run = join(directory, "run");
      fs.mkdirSync(run, { mode: 0o755 });
    });

    afterEach(async () => {
      await daemon?.stop("SIGKILL");
      for (const step of cleanUp.reverse()) await step();
      dom0.close();
      await store.stop();
      const present = () =>
        spawnSync("losetup", ["-a"], { encoding: "utf8" }).stdout.split("\n")
          .filter((line) => line.includes(directory));
      // The one that a file system is on goes when that has gone.
      await until(() => !present().join().includes("file-system"), () => present().join());
      const loops = present();
      for (const line of loops) spawnSync("losetup", ["-d", line.split(":")[0]!]);
      // Nothing is mounted here by now, and nothing ever was that is seen here.
      expect(fs.readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(directory);
      fs.rmSync(directory, { recursive: true });
      expect(loops).toEqual([]);
    });

    const args = () => [
      ...["--store", store.socketPath(DRIVER), "--scripts", join(directory, "scripts")],
      ...["--run-dir", join(directory, "run"), "--config", join(directory, "config.toml")],
      ...["--time", "retry=0.2", "--time", "retryMost=0.5"],
    ];
    const start = async (command: readonly [string, ...string[]] = programCommand()) =>
      daemon = await DaemonProcess.start(args(), { command });

    /** A disk whose script is told of it. */
    const scripted = (guest: number, devid = 51712) => device(guest, devid);
    const device = (guest: number, devid: number) =>
      new HandMadeDevice(dom0, {
        ...{ backendDomid: DRIVER, kind: "vbd", frontendDomid: guest },
        devid,
      });
    const attach = async (it: HandMadeDevice) => {
      const { frontendDomid, devid } = it.id;
      await it.create({
        script: join(directory, "scripts", "block-own"),
        params: `${frontendDomid}-${devid}`,
        state: "2",
      });
    };
    /** An image that the daemon attaches by itself. */
    const attachImage = async (it: HandMadeDevice) => {
      const image = join(directory, `image-${it.id.frontendDomid}-${it.id.devid}`);
      if (!fs.existsSync(image)) fs.writeFileSync(image, new Uint8Array(64 * 1024));
      await it.create({ script: "/etc/xen/scripts/block", params: image, state: "2" });
    };
    const connected = (it: HandMadeDevice) =>
      it.reaches("hotplug-status", "connected", PATIENCE_MS);
    /** It is refused, in one line that says so. */
    const refused = async (it: HandMadeDevice, why: RegExp) => {
      await it.reaches("hotplug-status", /^(error|connected)$/, PATIENCE_MS);
      expect(await it.read("hotplug-status")).toBe("error");
      const line = await it.read("hotplug-error") ?? "";
      expect(line).toMatch(why);
      expect(line).not.toContain("\n");
    };
    const gone = (it: HandMadeDevice) =>
      until(
        async () => !await dom0.exists(it.backend),
        async () => `${JSON.stringify(await it.nodes())}\n${daemon?.log}`,
        PATIENCE_MS,
      );
    const setUp = () =>
      fs.readdirSync(join(directory, "scripts")).filter((name) => name.startsWith("set-up-"));
    const loops = () =>
      spawnSync("losetup", ["-a"], { encoding: "utf8" }).stdout.split("\n")
        .filter((line) => line.includes(join(directory, "image")));
    const records = () =>
      replay(new Uint8Array(fs.readFileSync(join(run, `devd-${DRIVER}.journal`)))).entries.size;
    const open = () => fs.readdirSync(`/proc/${daemon!.pid}/fd`).length;
    const children = () =>
      spawnSync("ps", ["-o", "pid=,args=", "--ppid", String(daemon!.pid)], { encoding: "utf8" })
        .stdout.trim();

    /** Nothing is left of any device. */
    const nothingLeft = async () => {
      await until(() => records() === 0, () => `${records()} records\n${daemon!.log}`, PATIENCE_MS);
      expect(setUp()).toEqual([]);
      expect(loops()).toEqual([]);
    };

    /**
     * What every lack has in common: two disks are served, then something lacks, then it is there again.
     * @param why what a refusal says
     */
    async function scarcity(
      lack: () => unknown,
      relieve: () => unknown,
      why: RegExp,
      { imagesToo = true, slow = false } = {},
    ): Promise<void> {
      const [own, image] = [scripted(7), device(8, 51712)];
      await attach(own);
      await attachImage(image);
      await Promise.all([connected(own), connected(image)]);
      await daemon!.says(/vbd\/8\/51712\): connected/);
      const before = open();
      await lack();
      const [second, another] = [scripted(9), device(10, 51712)];
      for (let round = 0; round < 3; round++) {
        await attach(second);
        await refused(second, why);
        if (imagesToo) {
          await attachImage(another);
          await refused(another, why);
          await another.detach();
          await gone(another);
        }
        await second.detach();
        await gone(second);
      }
      expect(daemon!.running).toBeTrue();
      // What cannot be undone yet is kept, and what can be is undone.
      await own.detach();
      await image.detach();
      if (slow) {
        await daemon!.says(/vbd\/7\/51712\): .*tried again.*/);
        expect(records()).toBeGreaterThan(0);
      } else {
        await gone(own);
        await gone(image);
        expect(setUp()).toEqual([]);
        expect(loops()).toEqual([]);
      }
      process.kill(daemon!.pid, "SIGUSR1");
      await daemon!.says(/devices/);
      await relieve();
      await gone(own);
      await gone(image);
      await nothingLeft();
      // The same disks, for others: nobody has them any more.
      await attach(second);
      await attachImage(another);
      await Promise.all([connected(second), connected(another)]);
      await second.detach();
      await another.detach();
      await Promise.all([gone(second), gone(another)]);
      await nothingLeft();
      await until(() => open() <= before + 2, () => `${open()} descriptors, ${before} before`);
      expect(children().split("\n").filter((line) => !line.includes("storage"))).toEqual(
        children() === "" ? [""] : [],
      );
      expect(await daemon!.stop()).toBe(0);
    }

    test("processes: the limit of its control group is reached", async () => {
      const group = new PidsGroup(`xdevd-test-scarce-${process.pid}`);
      cleanUp.push(() => group.remove());
      await start([
        "/bin/sh",
        ...["-c", `echo $$ > ${group.procs}; exec "$@"`, "sh", ...programCommand()],
      ]);
      await scarcity(
        () => group.limit("now"),
        () => group.limit("max"),
        // Where there is room for one, its script has none for another.
        /EAGAIN|resource temporarily unavailable|cannot fork/i,
        { imagesToo: false, slow: true },
      );
    }, 180_000);

    test("processes and threads: as many of its user run as may (RLIMIT_NPROC)", async () => {
      fs.chownSync(run, STRANGER, STRANGER);
      await start(asStranger(...programCommand()));
      const own = scripted(7);
      await attach(own);
      await connected(own);
      limitProcesses(daemon!.pid, 1);
      const second = scripted(9);
      await attach(second);
      await refused(second, /EAGAIN|resource temporarily unavailable/i);
      await second.detach();
      await gone(second);
      await own.detach();
      await daemon!.says(/vbd\/7\/51712\): .*tried again.*/);
      limitProcesses(daemon!.pid, MANY);
      await gone(own);
      await nothingLeft();
      expect(await daemon!.stop()).toBe(0);
    }, 120_000);

    test("room in its run directory, and for its log", async () => {
      const place = await HeldNamespace.start(["mount"], [
        `mount -t tmpfs -o size=256k,mode=755 xdevd-test ${run}`,
      ]);
      cleanUp.push(() => place.stop());
      const point = run;
      run = place.seen(point);
      const filler = join(run, "filler");
      const fill = () => {
        const fd = fs.openSync(filler, "a");
        try {
          for (const size of [4096, 512, 1]) {
            try {
              for (;;) fs.writeSync(fd, new Uint8Array(size));
            } catch (error) {
              expect(error).toMatchObject({ code: "ENOSPC" });
            }
          }
        } finally {
          fs.closeSync(fd);
        }
      };
      daemon = await DaemonProcess.start([...args(), "--log-level", "debug"], {
        command: place.command(programCommand()),
        logFile: join(run, "log"),
      });
      const [own, image] = [scripted(7), device(8, 51712)];
      await attach(own);
      await attachImage(image);
      await Promise.all([connected(own), connected(image)]);
      await daemon.says(/vbd\/8\/51712\): connected/);
      fill();
      const [second, another] = [scripted(9), device(10, 51712)];
      // In the last block that the journal has, some records have room.
      for (let round = 0; round < 40; round++) {
        await attach(second);
        await second.reaches("hotplug-status", /^(error|connected)$/, PATIENCE_MS);
        const isFull = await second.read("hotplug-status") === "error";
        await second.detach();
        await gone(second);
        if (isFull) break;
      }
      for (let round = 0; round < 3; round++) {
        await attach(second);
        await refused(second, /journal .* cannot be written: ENOSPC/);
        await attachImage(another);
        await refused(another, /journal .* cannot be written: ENOSPC/);
        for (const it of [second, another]) {
          await it.detach();
          await gone(it);
        }
      }
      await own.detach();
      await image.detach();
      await Promise.all([gone(own), gone(image)]);
      expect([setUp(), loops()]).toEqual([[], []]);
      // Their disks are nobody's any more, whatever the file says.
      fs.rmSync(filler);
      const heir = device(9, 51728);
      await heir.create({
        script: "/etc/xen/scripts/block",
        params: join(directory, "image-8-51712"),
        state: "2",
      });
      await connected(heir);
      await heir.detach();
      await gone(heir);
      await nothingLeft();
      expect(await daemon.stop()).toBe(0);
      // Nor does one start where there is no room; what it knows of stays.
      await start(place.command(programCommand()));
      await attach(own);
      await connected(own);
      await daemon.says(/vbd\/7\/51712\): connected/);
      await daemon.stop("SIGKILL");
      fill();
      const refusal = await runProgram(
        ["devd", "-F", ...args()],
        {},
        PATIENCE_MS,
        place.command(programCommand()),
      );
      expect(refusal.code).not.toBe(0);
      expect(refusal.stderr).toMatch(/^(?!.*\n.*\n.*\n).*ENOSPC.*\n$/s);
      expect(records()).toBe(1);
      fs.rmSync(filler);
      await start(place.command(programCommand()));
      await daemon.says(/adopted/);
      await own.detach();
      await gone(own);
      await nothingLeft();
      expect(await daemon.stop()).toBe(0);
    }, 180_000);

    test(
      "the right to write to its run directory, whose file system has had an error",
      async () => {
        const [disk, point] = [join(directory, "file-system"), run];
        fs.writeFileSync(disk, "");
        fs.truncateSync(disk, 8 * 1024 * 1024);
        const place = await HeldNamespace.start(["mount"], [
          `mkfs.ext4 -q ${disk}`,
          `mount -o loop ${disk} ${point}`,
          `chmod 755 ${point}`,
        ]);
        cleanUp.push(() => place.stop());
        run = place.seen(point);
        await start(place.command(programCommand()));
        const [own, image] = [scripted(7), device(8, 51712)];
        await attach(own);
        await attachImage(image);
        await Promise.all([connected(own), connected(image)]);
        await daemon!.says(/vbd\/8\/51712\): connected/);
        // As the kernel does it when it finds one (ext4(5), errors=remount-ro).
        await place.run(`mount -o remount,abort ${point}`);
        const [second, another] = [scripted(9), device(10, 51712)];
        await attach(second);
        await attachImage(another);
        for (const it of [second, another]) {
          await refused(it, /journal .* cannot be written: (EROFS|EIO)/);
          await it.detach();
          await gone(it);
        }
        await own.detach();
        await image.detach();
        await Promise.all([gone(own), gone(image)]);
        expect([setUp(), loops()]).toEqual([[], []]);
        expect(daemon!.lines("and is brought up to date later: E")).toHaveLength(1);
        expect(await daemon!.stop()).toBe(0);
        const refusal = await runProgram(
          ["devd", "-F", ...args()],
          {},
          PATIENCE_MS,
          place.command(programCommand()),
        );
        expect(refusal.code).not.toBe(0);
        expect(refusal.stderr.trimEnd().split("\n").at(-1)).toMatch(/^xdevd: .*EROFS.*/);
      },
      120_000,
    );

    test("descriptors: `ulimit -n 40`, with images as with scripts", async () => {
      await start(["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", ...programCommand()]);
      let before = 0;
      for (let round = 0; round < 2; round++) {
        const all = GUESTS.flatMap((guest) => [51712, 51728, 51744].map((id) => device(guest, id)));
        await Promise.all(all.map((it, at) => at % 2 === 0 ? attach(it) : attachImage(it)));
        for (const it of all) {
          await it.reaches("hotplug-status", /^(connected|error)$/, PATIENCE_MS);
          if (await it.read("hotplug-status") === "error") {
            await refused(it, /too few file descriptors|EMFILE|too many open files/i);
          }
        }
        for (const it of all) await it.detach();
        for (const it of all) await gone(it);
        await nothingLeft();
        if (round === 0) before = open();
      }
      expect(daemon!.running).toBeTrue();
      await until(() => open() <= before + 2, () => `${open()} descriptors, ${before} before`);
      expect(await daemon!.stop()).toBe(0);
    }, 180_000);
  });
}

/** Somebody's uid and gid. */
const STRANGER = 54321;

/** More processes than there ever are here. */
const MANY = 10_000;

/** This command, as somebody who is nobody in particular: root may always have more processes. */
function asStranger(...argv: readonly string[]): [string, ...string[]] {
  const user = String(STRANGER);
  return [
    "setpriv",
    ...["--reuid", user, "--regid", user, "--clear-groups"],
    // What lies about here is root's.
    ...["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"],
    ...argv,
  ];
}

/** How many processes and threads of its user's there may be when it makes one more. */
function limitProcesses(pid: number, most: number): void {
  const [program, ...args] = asStranger("prlimit", `--pid=${pid}`, `--nproc=${most}:`);
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
}
