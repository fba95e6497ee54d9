/** Block devices and loop devices, on the kernel's own. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBlockDevices } from "../../platform/linux/block_devices.ts";
import { majorOf, minorOf } from "../../platform/linux/device_numbers.ts";
import { type Ioctl, systemIoctl } from "../../platform/linux/ioctl.ts";
import { attachLoop } from "../../platform/linux/loop_attach.ts";
import { LOOP_CONFIGURE, LOOP_CTL_GET_FREE } from "../../platform/linux/loop_info.ts";
import { systemError } from "../../platform/system_error.ts";
import type { BlockDevices, LoopRequest } from "../../contract/v1/block.ts";
import { until } from "../support/daemon_process.ts";
import { requireReal } from "../real/requirements.ts";

const racer = new URL("loop_racer.ts", import.meta.url).pathname;
const SIZE = 64 * 1024;

test("device numbers, as glibc's makedev has them", () => {
  for (const [device, major, minor] of [[0x705n, 7, 5], [1114924n, 259, 300]] as const) {
    expect([majorOf(device), minorOf(device)]).toEqual([major, minor]);
  }
  expect([majorOf(0xfff00n), minorOf(0xfff000ffn)]).toEqual([0xfff, 0xfffff]);
});

const lacking = fs.existsSync("/dev/loop-control") ? null : "/dev/loop-control";
if (requireReal("loop devices of the kernel", { packages: ["mount"], root: true, lacking })) {
  describe("loop devices", () => {
    let directory: string;
    let blocks: BlockDevices;
    let prefix: string;

    beforeAll(async () => {
      directory = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), "xdevd-loops-"));
      prefix = `test-${process.pid}`;
      blocks = await openBlockDevices();
    });

    const mine = async () => {
      const files = new Set(
        fs.readdirSync(directory).map((name) => {
          const { dev, ino } = fs.lstatSync(join(directory, name), { bigint: true });
          return `${dev}:${ino}`;
        }),
      );
      return (await blocks.loops({})).filter(({ file, tag }) =>
        files.has(file) || tag.startsWith(prefix)
      );
    };

    afterEach(async () => {
      const left = await mine();
      for (const loop of left) execFileSync("losetup", ["-d", loop.node]);
      fs.rmSync(directory, { recursive: true });
      fs.mkdirSync(directory);
      expect(left).toEqual([]);
    });

    afterAll(() => fs.rmSync(directory, { recursive: true }));

    function image(name: string): { path: string; bytes: Buffer<ArrayBuffer> } {
      const path = join(directory, name);
      const bytes = Buffer.from(crypto.getRandomValues(new Uint8Array(SIZE)));
      fs.writeFileSync(path, bytes);
      return { path, bytes };
    }

    async function request(path: string, more: Partial<LoopRequest> = {}): Promise<LoopRequest> {
      const target = await blocks.describe(path);
      const tag = `${prefix}-${crypto.randomUUID()}`;
      return { path: target.path, expectIdentity: target.identity, readOnly: false, tag, ...more };
    }

    test("attached, written through, detached; twice does no harm", async () => {
      const { path, bytes } = image("disk");
      const loop = await blocks.attachLoop(await request(path));
      const target = await blocks.describe(path);
      expect(loop).toMatchObject({ major: 7, file: target.identity, readOnly: false });
      expect(fs.readFileSync(loop.node)).toEqual(bytes);
      expect(await blocks.describe(loop.node)).toEqual({
        path: loop.node,
        kind: "block",
        identity: loop.identity,
        size: SIZE,
        readOnly: false,
        major: 7,
        minor: loop.minor,
        ...(loop.diskseq === undefined ? {} : { diskseq: loop.diskseq }),
        carries: target.identity,
      });
      fs.writeFileSync(loop.node, Buffer.alloc(512, 0x5a), { flag: "r+" });
      expect(await blocks.loops({ file: target.identity })).toEqual([loop]);
      expect(await blocks.loops({ tag: loop.tag })).toEqual([loop]);
      expect(await blocks.detachLoop(loop.node, loop)).toBe("detached");
      expect(fs.readFileSync(path).subarray(0, 512)).toEqual(Buffer.alloc(512, 0x5a));
      expect(await blocks.loops({ tag: loop.tag })).toEqual([]);
      expect(await blocks.detachLoop(loop.node, loop)).toBe("absent");
      expect(await blocks.detachLoop("/dev/loop1048575", loop)).toBe("absent");
    });

    test("read-only, and with direct I/O where the file system can", async () => {
      const { path, bytes } = image("disk");
      const loop = await blocks.attachLoop(await request(path, { readOnly: true, directIo: true }));
      expect(loop.readOnly).toBe(true);
      expect((await blocks.describe(loop.node)).readOnly).toBe(true);
      expect(() => fs.writeFileSync(loop.node, bytes, { flag: "r+" })).toThrow(
        /EPERM|EACCES|EROFS/,
      );
      expect(fs.readFileSync(loop.node)).toEqual(bytes);
      expect(await blocks.detachLoop(loop.node, loop)).toBe("detached");
    });

    test("what paths lead to", async () => {
      const { path } = image("disk");
      fs.symlinkSync("disk", join(directory, "link"));
      fs.symlinkSync("nowhere", join(directory, "dangling"));
      const file = await blocks.describe(join(directory, ".", "link"));
      expect(file).toMatchObject({ path, kind: "file", size: SIZE, readOnly: false });
      expect(file.diskseq).toBeUndefined();
      fs.chmodSync(path, 0o444);
      expect(await blocks.describe(path)).toMatchObject({ readOnly: true });
      execFileSync("mkfifo", [join(directory, "fifo")]);
      execFileSync("mknod", [join(directory, "void"), "b", "4095", "1048575"]);
      expect(await blocks.describe(directory)).toMatchObject({ kind: "directory" });
      expect(await blocks.describe(join(directory, "fifo"))).toMatchObject({ kind: "other" });
      expect(await blocks.describe("/dev/null")).toMatchObject({ kind: "other" });
      const failures: readonly (readonly [string, string])[] = [
        [join(directory, "dangling"), "ENOENT"],
        [join(path, "x"), "ENOTDIR"],
        [`${path}\0`, "EINVAL"],
        [`/${"x".repeat(300)}`, "ENAMETOOLONG"],
        [join(directory, "void"), "ENXIO"],
      ];
      for (const [bad, code] of failures) {
        await expect(blocks.describe(bad)).rejects.toMatchObject({ code });
      }
    });

    test("refused: a file that is another by now, a link, a directory, a FIFO, bad tags", async () => {
      const { path } = image("disk");
      const wanted = await request(path);
      image("other");
      const refused = (code: string, more: Partial<LoopRequest> = {}) =>
        expect(blocks.attachLoop({ ...wanted, ...more })).rejects.toMatchObject({ code });
      for (const tag of ["", "x".repeat(64), "a b", "é", "a\n"]) await refused("EINVAL", { tag });
      fs.renameSync(join(directory, "other"), path);
      await refused("ESTALE");
      fs.renameSync(path, join(directory, "disk.real"));
      fs.symlinkSync("disk.real", path);
      await refused("ELOOP");
      fs.rmSync(path);
      execFileSync("mkfifo", [path]);
      await refused("EINVAL", { readOnly: true });
      fs.rmSync(path);
      await refused("ENOENT");
      fs.mkdirSync(path);
      await refused("EISDIR");
      await refused("EINVAL", { readOnly: true });
      await expect(blocks.detachLoop("/dev/vda", { tag: "x", file: "" }))
        .rejects.toMatchObject({ code: "EINVAL" });
    });

    test("fault 18: somebody else's with the same number, even of the same file, stays", async () => {
      const { path } = image("disk");
      const ours = await blocks.attachLoop(await request(path));
      await blocks.detachLoop(ours.node, ours);
      for (const file of [path, image("other").path]) {
        execFileSync("losetup", [ours.node, file]);
        expect(await blocks.detachLoop(ours.node, ours)).toBe("foreign");
        const [theirs] = await mine();
        expect(theirs).toMatchObject({ node: ours.node, tag: file });
        // By its tag alone it would be this one.
        const { diskseq } = ours;
        if (diskseq !== undefined) {
          const use = { tag: file, file: theirs!.file, diskseq };
          expect(await blocks.detachLoop(ours.node, use)).toBe("foreign");
        }
        execFileSync("losetup", ["-d", ours.node]);
      }
    });

    test("detached while in use: the kernel does it when that ends", async () => {
      const loop = await blocks.attachLoop(await request(image("disk").path));
      const user = fs.openSync(loop.node, "r");
      expect(await blocks.detachLoop(loop.node, loop)).toBe("pending");
      expect(await blocks.detachLoop(loop.node, loop)).toBe("pending");
      fs.closeSync(user);
      expect(await blocks.loops({ tag: loop.tag })).toEqual([]);
    });

    test("a file that was deleted can be detached all the same", async () => {
      const { path } = image("disk");
      const loop = await blocks.attachLoop(await request(path));
      fs.rmSync(path);
      expect(await blocks.loops({ tag: loop.tag })).toEqual([loop]);
      expect(await blocks.detachLoop(loop.node, loop)).toBe("detached");
    });

    test("without LOOP_CONFIGURE (before Linux 5.8) the same comes of it", async () => {
      const real = systemIoctl;
      const old: Ioctl = (what, fd, command, argument) => {
        if (command === LOOP_CONFIGURE) throw systemError("EINVAL", what);
        return real(what, fd, command, argument);
      };
      const { path, bytes } = image("disk");
      for (const readOnly of [false, true]) {
        const wanted = await request(path, { readOnly, directIo: readOnly });
        const loop = await attachLoop(old, wanted);
        expect(loop).toMatchObject({ tag: wanted.tag, file: wanted.expectIdentity, readOnly });
        expect(fs.readFileSync(loop.node)).toEqual(bytes);
        expect(await blocks.loops({ tag: loop.tag })).toEqual([loop]);
        expect(await blocks.detachLoop(loop.node, loop)).toBe("detached");
      }
    });

    test("a loop device that somebody else takes first: another one", async () => {
      const real = systemIoctl;
      const { path } = image("disk");
      const taken: string[] = [];
      const slow: Ioctl = (what, fd, command, argument) => {
        const result = real(what, fd, command, argument);
        if (command === LOOP_CTL_GET_FREE && taken.length < 3) {
          taken.push(`/dev/loop${result}`);
          execFileSync("losetup", ["-r", `/dev/loop${result}`, path]);
        }
        return result;
      };
      const loop = await attachLoop(slow, await request(path));
      expect(taken).toHaveLength(3);
      expect(taken).not.toContain(loop.node);
      for (const node of taken) execFileSync("losetup", ["-d", node]);
      expect(await blocks.detachLoop(loop.node, loop)).toBe("detached");
    });

    test("processes that race for loop devices: each gets its own, nothing is left", async () => {
      const rounds = "25";
      const racers = ["a", "b"].map((name) =>
        Bun.spawn([process.execPath, racer, image(name).path, `${prefix}-${name}`, rounds], {
          stderr: "pipe",
        })
      );
      for (const child of racers) {
        expect(await new Response(child.stderr).text()).toBe("");
        expect(await child.exited).toBe(0);
      }
      await until(async () => (await mine()).length === 0, () => "loop devices are left");
    }, 60_000);

    test("fault 19: killed before it could say which it took: found by its tag", async () => {
      const { path } = image("disk");
      const { identity } = await blocks.describe(path);
      const tag = `${prefix}-killed`;
      const child = Bun.spawn([process.execPath, racer, path, tag, "0"]);
      await child.exited;
      expect(child.signalCode).toBe("SIGKILL");
      const [left, ...more] = await blocks.loops({ tag });
      expect(more).toEqual([]);
      expect(await blocks.detachLoop(left!.node, { tag, file: identity })).toBe("detached");
    });
  });
}
