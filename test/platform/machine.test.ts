/** Files, time, and devices that take one message per write. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { awaitReadable } from "../../platform/io/await_readable.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { openMessageDevice } from "../../platform/xen/message_device.ts";
import { until } from "../support/daemon_process.ts";

let directory: string;

beforeAll(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "xdevd-machine-"));
});

afterAll(() => fs.rmSync(directory, { recursive: true }));

describe("files", () => {
  test("kinds, modes and links", async () => {
    const path = join(directory, "file");
    await systemFiles.writeText(path, "text", 0o640);
    fs.chmodSync(path, 0o4751);
    fs.symlinkSync("file", join(directory, "link"));
    expect(await systemFiles.stat(join(directory, "link")))
      .toMatchObject({ kind: "file", mode: 0o4751, size: 4, uid: process.geteuid!() });
    expect(await systemFiles.lstat(join(directory, "link"))).toMatchObject({ kind: "symlink" });
    expect(await systemFiles.readLink(join(directory, "link"))).toBe("file");
    expect(await systemFiles.realPath(join(directory, "link"))).toEndWith("/file");
    expect(await systemFiles.stat(directory)).toMatchObject({ kind: "directory" });
    expect(await systemFiles.stat("/dev/null")).toMatchObject({
      kind: "character",
      rdev: 0x103n,
    });
    await expect(systemFiles.stat(join(directory, "none"))).rejects.toMatchObject({
      code: "ENOENT",
    });
    await expect(systemFiles.stat(join(path, "x"))).rejects.toMatchObject({ code: "ENOTDIR" });
    await expect(systemFiles.readLink(path)).rejects.toMatchObject({ code: "EINVAL" });
  });

  test("parts of a file, up to its end", async () => {
    const path = join(directory, "parts");
    await systemFiles.writeText(path, "0123456789");
    const text = async (position: number, length: number) =>
      new TextDecoder().decode(await systemFiles.readAt(path, position, length));
    expect(await text(2, 3)).toBe("234");
    expect(await text(8, 100)).toBe("89");
    expect(await text(10, 1)).toBe("");
  });

  test("directories are made and removed with all in them, once or twice", async () => {
    const path = join(directory, "a", "b");
    await systemFiles.makeDirectory(path, 0o700);
    await systemFiles.makeDirectory(path, 0o700);
    expect(fs.statSync(path).mode & 0o777).toBe(0o700);
    await systemFiles.writeText(join(path, "x"), "");
    await systemFiles.rename(join(path, "x"), join(path, "y"));
    expect(await systemFiles.list(path)).toEqual(["y"]);
    await systemFiles.remove(join(directory, "a"));
    await systemFiles.remove(join(directory, "a"));
    expect(fs.existsSync(join(directory, "a"))).toBeFalse();
  });
});

describe("the clock", () => {
  test("calls once, and not when it is called off", async () => {
    const calls: string[] = [];
    systemClock.after(5, () => calls.push("kept"));
    const cancel = systemClock.after(5, () => calls.push("called off"));
    cancel();
    cancel();
    await until(() => calls.length > 0, () => "it never called");
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(calls).toEqual(["kept"]);
  });

  test("a time longer than a timer of the runtime can take is not over at once", async () => {
    let calls = 0;
    const cancels = [2 ** 31, 2 ** 40, Infinity].map((ms) => systemClock.after(ms, () => calls++));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(calls).toBe(0);
    for (const cancel of cancels) cancel();
  });
});

describe("a message device", () => {
  /** A named pipe that is open for both: what is written comes back. */
  function loop(name: string): string {
    const path = join(directory, name);
    execFileSync("mkfifo", [path]);
    return path;
  }

  test("what is written is read; the end is told once; its descriptors are closed", async () => {
    const path = loop("fifo");
    const device = openMessageDevice(path);
    expect(descriptorsOf(path)).toBeGreaterThan(0);
    let bytes = 0;
    const ends: unknown[] = [];
    device.start({ data: (chunk) => bytes += chunk.length, closed: (error) => ends.push(error) });
    device.write(new Uint8Array(10));
    device.write(new Uint8Array(20));
    await until(() => bytes === 30, () => `${bytes} bytes`);
    device.close();
    device.close();
    await until(() => ends.length > 0, () => "the end was not told");
    expect(ends).toEqual([null]);
    await until(() => descriptorsOf(path) === 0, () => "a descriptor is left");
  });

  test("answers that come soon are taken at once, in order; what is late comes all the same", async () => {
    const path = loop("answers");
    const waits: boolean[] = [];
    const device = openMessageDevice(path, (fd, ms) => {
      expect(ms).toBeGreaterThan(0);
      const ready = awaitReadable(fd, 0);
      waits.push(ready);
      return ready;
    });
    const peer = fs.openSync(path, fs.constants.O_WRONLY);
    try {
      const seen: number[] = [];
      device.start({
        data: (chunk) => seen.push(...chunk),
        closed: () => {},
        awaits: () => seen.length < 3,
      });
      // It is a loop: what is written is read at once, before the event loop goes on.
      device.write(new Uint8Array([1, 2]));
      expect(seen).toEqual([]);
      await Promise.resolve();
      expect(seen).toEqual([1, 2]);
      // Not all that was awaited: it waited once more, in vain.
      await Promise.resolve();
      expect(waits).toEqual([true, false]);
      fs.writeSync(peer, new Uint8Array([3]));
      await until(() => seen.length === 3, () => `${seen}`);
      expect(waits).toEqual([true, false]);
      // Nothing is awaited: it is left to the stream.
      device.write(new Uint8Array([4]));
      await Promise.resolve();
      expect(waits.length).toBe(2);
      await until(() => seen.length === 4, () => `${seen}`);
    } finally {
      fs.closeSync(peer);
      device.close();
    }
  });

  test("whoever reads, the stream or at once: nothing is lost, and all is in order", async () => {
    const step = fc.constantFrom("device", "peer", "microtask", "turn");
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.nat(6), async (steps, before) => {
        const path = loop(`order${++runs}`);
        const device = openMessageDevice(path, (fd) => awaitReadable(fd, 0));
        const peer = fs.openSync(path, fs.constants.O_WRONLY);
        let last = 0;
        const next = () => new Uint8Array([++last]);
        // Kept, as whoever takes messages out of them does.
        const chunks: Uint8Array[] = [];
        const seen = () => chunks.flatMap((chunk) => [...chunk]);
        try {
          for (let count = 0; count < before; count++) fs.writeSync(peer, next());
          device.start({
            data: (chunk) => chunks.push(chunk),
            closed: () => {},
            awaits: () => true,
          });
          for (const each of steps) {
            if (each === "device") device.write(next());
            else if (each === "peer") fs.writeSync(peer, next());
            else if (each === "microtask") await Promise.resolve();
            else await new Promise((resolve) => setImmediate(resolve));
          }
          await until(() => seen().length >= last, () => `${seen()} of ${last}`);
          expect(seen()).toEqual(Array.from({ length: last }, (_, index) => index + 1));
        } finally {
          fs.closeSync(peer);
          device.close();
          fs.rmSync(path);
        }
      }),
    );
  });

  test("what the stream has taken already comes before what comes now", async () => {
    const path = loop("taken");
    const device = openMessageDevice(path, (fd) => awaitReadable(fd, 0));
    const peer = fs.openSync(path, fs.constants.O_WRONLY);
    try {
      const seen: number[] = [];
      device.start({
        data(chunk) {
          seen.push(...chunk);
          if (seen.length > 1) return;
          // Did the stream read the 2 as soon as it is asked, and not in the event loop, the 3 that comes
          // then would overtake it.
          queueMicrotask(() => fs.writeSync(peer, new Uint8Array([3])));
          device.write(new Uint8Array([2]));
        },
        closed: () => {},
        awaits: () => true,
      });
      await new Promise((resolve) => setTimeout(resolve, 5));
      fs.writeSync(peer, new Uint8Array([1]));
      await until(() => seen.length === 3, () => `${seen}`);
      expect(seen).toEqual([1, 2, 3]);
    } finally {
      fs.closeSync(peer);
      device.close();
    }
  });

  test("however many answers come at once, a timer that is due has its turn", async () => {
    const device = openMessageDevice(loop("many"), awaitReadable);
    try {
      let answers = 0;
      let before = Infinity;
      setTimeout(() => before = answers, 0);
      device.start({
        data() {
          if (++answers < 5_000) device.write(new Uint8Array(1));
        },
        closed: () => {},
        awaits: () => answers < 5_000,
      });
      device.write(new Uint8Array(1));
      await until(() => answers === 5_000, () => `${answers}`);
      expect(before).toBeLessThan(1_000);
    } finally {
      device.close();
    }
  });

  test("a write that fails, or is cut short, throws with the name of the error", async () => {
    const device = openMessageDevice(loop("full"));
    expect(() => {
      for (let count = 0; count < 100; count++) device.write(new Uint8Array(60_000));
    }).toThrow(expect.objectContaining({ code: expect.stringMatching(/^E(AGAIN|IO)$/) }));
    device.close();
    expect(() => openMessageDevice(join(directory, "none")))
      .toThrow(expect.objectContaining({ code: "ENOENT" }));
  });
});

/** How many descriptors of this process lead to a file. */
function descriptorsOf(path: string): number {
  return fs.readdirSync("/proc/self/fd").filter((name) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${name}`) === path;
    } catch {
      return false;
    }
  }).length;
}
