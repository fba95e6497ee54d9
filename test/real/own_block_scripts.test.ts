/**
 * Scripts other than Debian's `block`, on Debian's xenstored and real loop devices: one's `remove` is
 * run for what its `add` was begun for, and for nothing else.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const [FIRST, SECOND] = [7, 8];
const SIZE = 256 * 1024;

const needs = {
  packages: [...xenstoredPackages, "xen-utils-common", "mount", "e2fsprogs"],
  root: true,
};
if (requireReal("block scripts of all sorts on loop devices", needs)) {
  describe("a block script", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let daemon: DaemonProcess;
    let directory: string;
    let scripts: string;
    let options: string[];
    let devid = 51712;

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, FIRST, SECOND] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [DRIVER, FIRST, SECOND]) await makeDomain(dom0, domid);
      directory = fs.mkdtempSync(join(tmpdir(), "xdevd-block-scripts-"));
      scripts = join(directory, "scripts");
      fs.cpSync("/etc/xen/scripts", scripts, { recursive: true });
      fs.copyFileSync(
        join(import.meta.dir, "scripts/block-mapping"),
        join(scripts, "block-mapping"),
      );
      fs.chmodSync(join(scripts, "block-mapping"), 0o755);
      fs.mkdirSync(join(scripts, "images"));
      options = ["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")];
      // What is refused is closed at once: test/real/busy.test.ts has what else may become of it.
      options.push("--scripts", scripts, "--time", "busy=0");
      daemon = await DaemonProcess.start(options);
    });

    beforeEach(() => {
      fs.writeFileSync(join(scripts, "seen"), "");
    });

    afterEach(() => {
      const left = loops();
      for (const line of left) execFileSync("losetup", ["-d", line.split(":")[0]!]);
      expect(left).toEqual([]);
      expect(fs.readdirSync(scripts).includes("wait")).toBeFalse();
    });

    afterAll(async () => {
      const code = await daemon.stop();
      dom0.close();
      await store.stop();
      fs.rmSync(directory, { recursive: true });
      expect(code).toBe(0);
    });

    /** Loop devices that carry something of these tests. */
    const loops = () =>
      execFileSync("losetup", ["-a"], { encoding: "utf8" }).split("\n")
        .filter((line) => line.includes(directory));

    /** What the mapping script was run for. */
    const seen = () => fs.readFileSync(join(scripts, "seen"), "utf8").trimEnd().split("\n");

    function image(name: string): string {
      const path = join(scripts, "images", name);
      fs.writeFileSync(path, crypto.getRandomValues(new Uint8Array(SIZE / 4)));
      fs.truncateSync(path, SIZE);
      return path;
    }

    /** Creates a device, and lets the kernel reach state 2. */
    async function attach(
      frontendDomid: number,
      script: string,
      params: string,
      more: Record<string, string> = {},
    ): Promise<HandMadeDevice> {
      devid += 16;
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid, devid };
      const device = new HandMadeDevice(dom0, id);
      await device.create({ script: join(scripts, script), params, ...more });
      await device.write("state", "2");
      return device;
    }

    const named = ({ id }: HandMadeDevice) => `vbd/${id.frontendDomid}/${id.devid}`;

    async function connected(device: HandMadeDevice): Promise<void> {
      await device.reaches("hotplug-status", "connected");
      await daemon.says(new RegExp(`${named(device)}\\)?: connected`));
    }

    async function detach(device: HandMadeDevice): Promise<void> {
      await device.detach();
      await device.gone();
    }

    const mutely = (device: HandMadeDevice) =>
      expect(daemon.lines(named(device)).filter((line) => /warn|error/i.test(line))).toEqual([]);

    describe("Xen's own block-dummy, whose target is no path", () => {
      test("leaves no loop device after a detach", async () => {
        const device = await attach(FIRST, "block-dummy", `dummy:${image("dummy")}`);
        await connected(device);
        expect(loops()).toHaveLength(1);
        await detach(device);
        mutely(device);
      });

      test("nor when the directory is deleted by force", async () => {
        const device = await attach(FIRST, "block-dummy", `dummy:${image("forced")}`);
        await connected(device);
        await device.nuke();
        await until(() => loops().length === 0, () => `${loops()}\n${daemon.log}`);
      });

      test("nor when another daemon has taken the device up", async () => {
        const device = await attach(FIRST, "block-dummy", `dummy:${image("adopted")}`);
        await connected(device);
        await daemon.stop("SIGKILL");
        daemon = await DaemonProcess.start(options);
        await daemon.says(new RegExp(`${named(device)}\\)?: was set up before: adopted`));
        await detach(device);
      });

      test("nor when that one knows nothing: the other daemon's records are lost", async () => {
        const device = await attach(FIRST, "block-dummy", `dummy:${image("lost")}`);
        await connected(device);
        await daemon.stop("SIGKILL");
        fs.rmSync(join(directory, "run"), { recursive: true });
        daemon = await DaemonProcess.start(options);
        await daemon.says(new RegExp(`${named(device)}\\)?: was set up before: adopted`));
        await device.nuke();
        await until(() => loops().length === 0, () => `${loops()}\n${daemon.log}`);
      });

      test("does not detach what is another's by now", async () => {
        const device = await attach(FIRST, "block-dummy", `dummy:${image("before")}`);
        await connected(device);
        const node = await device.read("node") ?? "";
        execFileSync("losetup", ["-d", node]);
        execFileSync("losetup", [node, image("after")]);
        await detach(device);
        expect(loops()).toHaveLength(1);
        expect(daemon.lines(named(device)).join("\n")).toMatch(/is not what it was set up with/);
        execFileSync("losetup", ["-d", node]);
      });
    });

    describe("that keeps disks by name", () => {
      test("is not run for the removal of a device that was refused", async () => {
        image("disk");
        const first = await attach(FIRST, "block-mapping", "disk");
        await connected(first);
        const second = await attach(SECOND, "block-mapping", "disk");
        await second.reaches("hotplug-status", "busy");
        expect(await second.read("hotplug-error")).toContain(named(first));
        await detach(second);
        expect(loops()).toHaveLength(1);
        expect(seen()).toEqual(["add disk"]);
        await detach(first);
        expect(seen()).toEqual(["add disk", "remove disk"]);
      });

      test("is not run for the removal of a device that was refused: by the path of a file", async () => {
        const path = image("file");
        const link = join(directory, "link");
        fs.symlinkSync(path, link);
        const first = await attach(FIRST, "block-mapping", path);
        await connected(first);
        const second = await attach(SECOND, "block-mapping", link);
        await second.reaches("hotplug-status", "busy");
        await detach(second);
        expect(loops()).toHaveLength(1);
        await detach(first);
        expect(seen()).toEqual([`add ${path}`, `remove ${path}`]);
      });

      test("is not run for a device that its path rules refused, mended meanwhile or not", async () => {
        const script = join(scripts, "block-writable");
        fs.copyFileSync(join(scripts, "block-mapping"), script);
        fs.chmodSync(script, 0o777);
        image("unsafe");
        const device = await attach(FIRST, "block-writable", "unsafe");
        await device.reaches("hotplug-status", "error");
        await device.reaches("state", "6");
        fs.chmodSync(script, 0o755);
        await detach(device);
        expect(seen()).toEqual([""]);
      });

      test("is not run for one that could not be started", async () => {
        const script = join(scripts, "block-odd");
        fs.writeFileSync(script, `#!${directory}/no-such-shell\n`, { mode: 0o755 });
        const device = await attach(FIRST, "block-odd", "odd");
        await device.reaches("hotplug-status", "error");
        await device.reaches("state", "6");
        await detach(device);
        expect(daemon.lines(named(device)).join("\n")).not.toMatch(/block-odd remove/);
      });

      test("is run for what its add had begun when the daemon was killed", async () => {
        image("begun");
        fs.writeFileSync(join(scripts, "wait"), "");
        const device = await attach(FIRST, "block-mapping", "begun");
        await until(() => seen()[0] === "add begun", () => daemon.log);
        await daemon.stop("SIGKILL");
        await device.nuke();
        fs.rmSync(join(scripts, "wait"));
        daemon = await DaemonProcess.start(options);
        await until(() => seen().length === 2 && loops().length === 0, () => daemon.log);
        expect(seen()).toEqual(["add begun", "remove begun"]);
      });

      test("is run for what its add had begun when it failed", async () => {
        const device = await attach(FIRST, "block-mapping", "missing");
        await device.reaches("hotplug-status", "error");
        await device.reaches("state", "6");
        expect(seen()).toEqual(["add missing", "remove missing"]);
        await detach(device);
        expect(seen()).toEqual(["add missing", "remove missing"]);
      });

      test("keeps a loop device that it leaves on purpose", async () => {
        const script = join(scripts, "block-keeping");
        const path = image("kept");
        fs.writeFileSync(
          script,
          `#!/bin/bash
. "$(dirname "$0")/block-common.sh"
file=$(xenstore_read "$XENBUS_PATH/params")
[ "$command" = add ] || exit 0
loop=$(losetup --find --show "$file")
xenstore_write "$XENBUS_PATH/node" "$loop"
write_dev "$loop"
`,
          { mode: 0o755 },
        );
        const device = await attach(FIRST, "block-keeping", path);
        await connected(device);
        await detach(device);
        expect(loops()).toHaveLength(1);
        execFileSync("losetup", ["-d", loops()[0]!.split(":")[0]!]);
      });

      test("lets both in where that is meant", async () => {
        image("both");
        const first = await attach(FIRST, "block-mapping", "both", { mode: "w!" });
        await connected(first);
        const second = await attach(SECOND, "block-mapping", "both", { mode: "w!" });
        await connected(second);
        await detach(second);
        await detach(first);
        expect(seen()).toEqual(["add both", "add both", "remove both", "remove both"]);
      });
      test("undoes at once what turns out to be another one's, by whatever name", async () => {
        const path = image("one");
        fs.symlinkSync(path, join(scripts, "images", "alias"));
        const first = await attach(FIRST, "block-mapping", "one");
        await connected(first);
        const second = await attach(SECOND, "block-mapping", "alias");
        await second.reaches("hotplug-status", "busy");
        await until(() => seen().length === 3 && loops().length === 1, () => daemon.log);
        expect(await second.read("hotplug-error")).toContain(named(first));
        expect(seen()).toEqual(["add one", "add alias", "remove alias"]);
        expect(loops()).toHaveLength(1);
        expect(loops()[0]).toContain(`${await first.read("physical-device-path")}:`);
        await detach(second);
        // The file that another script's device has, by Xen's own.
        const third = await attach(SECOND, "block", path);
        await third.reaches("hotplug-status", "busy");
        await detach(third);
        await detach(first);
        expect(seen().slice(3)).toEqual(["remove one"]);
      });
    });

    describe("on parts of storage", () => {
      /** Refused by a daemon that runs scripts, or served. */
      async function second(params: string, mode = "w"): Promise<string> {
        const device = await attach(SECOND, "block", params, { mode });
        await device.reaches("hotplug-status", /busy|connected/);
        const status = await device.read("hotplug-status") ?? "";
        await detach(device);
        return status;
      }

      const losetup = (...args: string[]) =>
        execFileSync("losetup", ["--find", "--show", ...args], { encoding: "utf8" }).trim();

      test("a file, loop devices into it, and loop devices on those", async () => {
        const path = image("parts");
        const head = losetup("--sizelimit", "65536", path);
        const tail = losetup("--offset", "65536", path);
        const inner = losetup("--offset", "4096", tail);
        try {
          const first = await attach(FIRST, "block", tail);
          await connected(first);
          for (const params of [path, inner]) expect(await second(params)).toBe("busy");
          expect(await second(head)).toBe("connected");
          expect(await second(inner, "w!")).toBe("connected");
          await detach(first);
          const other = await attach(FIRST, "block", path);
          await connected(other);
          expect(await second(inner)).toBe("busy");
          await detach(other);
        } finally {
          for (const loop of [inner, tail, head]) execFileSync("losetup", ["-d", loop]);
        }
      });

      test("a disk and its partitions; swap space on one of them", async () => {
        const path = image("partitions");
        fs.truncateSync(path, 4 * 1024 * 1024);
        const whole = losetup("--partscan", path);
        const parts = [1, 2].map((number) => {
          execFileSync("addpart", [whole, String(number), String(number * 2048), "2048"]);
          return `${whole}p${number}`;
        });
        const [one = "", two = ""] = parts;
        try {
          const first = await attach(FIRST, "block", one);
          await connected(first);
          expect(await second(whole)).toBe("busy");
          expect(await second(two)).toBe("connected");
          await detach(first);
          const other = await attach(FIRST, "block", whole);
          await connected(other);
          expect(await second(two)).toBe("busy");
          await detach(other);
          execFileSync("mkswap", ["-q", one]);
          execFileSync("swapon", [one]);
          try {
            for (const params of [one, whole, path]) {
              const device = await attach(FIRST, "block", params, { mode: "r" });
              await device.reaches("hotplug-status", "busy");
              expect(await device.read("hotplug-error")).toContain(`"${one}" is swap space here`);
              await detach(device);
            }
            expect(await second(two)).toBe("connected");
          } finally {
            execFileSync("swapoff", [one]);
          }
        } finally {
          for (const number of ["1", "2"]) execFileSync("delpart", [whole, number]);
          execFileSync("losetup", ["-d", whole]);
        }
      });

      test("what is mounted here, through a loop device with an offset", async () => {
        const path = image("mounted");
        fs.truncateSync(path, 4 * 1024 * 1024);
        const inner = losetup("--offset", "1048576", path);
        execFileSync("mkfs.ext4", ["-q", inner]);
        const point = join(directory, "point");
        fs.mkdirSync(point);
        execFileSync("mount", [inner, point]);
        try {
          const device = await attach(FIRST, "block-mapping", path);
          await device.reaches("hotplug-status", "busy");
          expect(await device.read("hotplug-error")).toContain(`is mounted here on "${point}"`);
          await detach(device);
          expect(seen()).toEqual([""]);
        } finally {
          execFileSync("umount", [point]);
          execFileSync("losetup", ["-d", inner]);
        }
      });
    });
  });
}
