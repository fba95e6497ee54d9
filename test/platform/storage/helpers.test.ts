/** Storage helpers as seen by who asks them: late ones, places that do not answer, bounds. */
import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { PipedChild } from "../../../platform/io/child.ts";
import { storage as systemStorage } from "../../../platform/storage.ts";
import {
  decodeLine,
  encodeLine,
  type StorageAnswer,
  type StorageCall,
} from "../../../platform/storage/frames.ts";
import { type HelperParts, StorageHelpers } from "../../../platform/storage/helpers.ts";
import { placeIn } from "../../../platform/storage/place.ts";
import { parseMountTable } from "../../../platform/linux/mount_table.ts";
import type { ChildExit } from "../../../platform/types.ts";

const DEADLINE_MS = 200;
const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A helper made up for the test: it answers what lies in no directory `/dead…`. */
class FakeHelper implements PipedChild {
  readonly pid: number;
  readonly queued = 0;
  readonly calls: string[] = [];
  readonly signals: string[] = [];
  readonly #lines: Uint8Array[] = [];
  #wake: () => void = () => {};
  #over = false;
  readonly #exit = Promise.withResolvers<ChildExit>();
  readonly exited = this.#exit.promise;

  constructor(pid: number) {
    this.pid = pid;
  }

  get isOver(): boolean {
    return this.#over;
  }

  write(bytes: Uint8Array): void {
    const { args: [path] } = decodeLine(new TextDecoder().decode(bytes)) as StorageCall;
    this.calls.push(String(path));
    if (!String(path).startsWith("/dead")) queueMicrotask(() => this.says({ value: path }));
  }

  says(answer: StorageAnswer): void {
    this.#lines.push(encodeLine(answer));
    this.#wake();
  }

  /** It has come back from the kernel, and sees that it was killed. */
  end(): void {
    this.#over = true;
    this.#wake();
    this.#exit.resolve({ code: null, signal: "SIGKILL" });
  }

  closeInput(): void {
    if (this.calls.at(-1)?.startsWith("/dead") !== true) this.end();
  }

  signalGroup(signal: string): boolean {
    this.signals.push(signal);
    return true;
  }

  get output(): AsyncIterable<Uint8Array> {
    return this.#read();
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      while (this.#lines.length > 0) yield this.#lines.shift()!;
      if (this.#over) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

function make(more: Partial<HelperParts> = {}) {
  const helpers: FakeHelper[] = [];
  const said: string[] = [];
  const storage = new StorageHelpers({
    start: () => {
      const helper = new FakeHelper(100 + helpers.length);
      helpers.push(helper);
      return Promise.resolve(helper);
    },
    // As of mounts: `/dead/a` and `/dead/b` are on one server.
    placeOf: ({ args: [path] }) => /^\/[^/]*/.exec(String(path))![0],
    keepMs: null,
    deadlineMs: DEADLINE_MS,
    ...more,
  });
  storage.report = (line) => said.push(line);
  return { storage, helpers, said };
}

const outcome = (work: Promise<unknown>) =>
  work.then(() => "answered", (error: Error & { code?: string }) => `${error.code}`);

describe("asking", () => {
  test("one helper is started, and kept", async () => {
    const { storage, helpers } = make();
    for (let round = 0; round < 5; round++) await storage.files.stat(`/${round}`);
    await Promise.all(Array.from({ length: 20 }, (_, at) => storage.files.realPath(`/${at}`)));
    expect(helpers).toHaveLength(1);
    expect(helpers[0]!.isOver).toBeFalse();
  });

  test("one that has had nothing to do is ended, where it is not to be kept", async () => {
    const { storage, helpers } = make({ keepMs: 30 });
    await storage.files.stat("/a");
    await later(10);
    await storage.files.stat("/b");
    await helpers[0]!.exited;
    await storage.files.stat("/c");
    expect(helpers.map(({ calls }) => calls)).toEqual([["/a", "/b"], ["/c"]]);
  });

  test("nor is one that had its last call while another one waited", async () => {
    const { storage, helpers } = make({ keepMs: 30, deadlineMs: 10_000 });
    const dead = outcome(storage.files.stat("/dead/a"));
    await storage.files.stat("/a");
    // Its answer comes late, but in time.
    helpers[0]!.says({ value: null });
    expect(await dead).toBe("answered");
    await helpers[1]!.exited;
  });

  test("nor when the other one was left behind", async () => {
    const { storage, helpers } = make({ keepMs: 30 });
    const dead = outcome(storage.files.stat("/dead/a"));
    await storage.files.stat("/a");
    expect(await dead).toBe("ETIMEDOUT");
    await helpers[1]!.exited;
  });

  test("while one waits, others are asked by another helper, soon", async () => {
    const { storage, helpers } = make({ deadlineMs: 5_000 });
    const dead = outcome(storage.files.stat("/dead/a"));
    const start = performance.now();
    await Promise.all(["/a", "/b", "/c"].map((path) => storage.files.stat(path)));
    expect(performance.now() - start).toBeLessThan(2_000);
    expect(helpers).toHaveLength(2);
    helpers[0]!.end();
    expect(await dead).toBe("EIO");
  });

  test("ten that wait for different places keep no eleventh waiting", async () => {
    const { storage, helpers } = make({ deadlineMs: 10_000 });
    const dead = Array.from(
      { length: 10 },
      (_, at) => outcome(storage.files.stat(`/dead${at}`)),
    );
    await later(10);
    const start = performance.now();
    expect(await outcome(storage.files.stat("/a"))).toBe("answered");
    expect(performance.now() - start).toBeLessThan(5_000);
    for (const helper of helpers) helper.end();
    expect(new Set(await Promise.all(dead))).toEqual(new Set(["EIO"]));
  });

  test("ten that wait for one place take two helpers, and fail together", async () => {
    const { storage, helpers } = make();
    const dead = Array.from({ length: 10 }, (_, at) => outcome(storage.files.stat(`/dead/${at}`)));
    await storage.files.stat("/a");
    expect(new Set(await Promise.all(dead))).toEqual(new Set(["ETIMEDOUT"]));
    const stuck = helpers.filter(({ calls }) => calls.at(-1)!.startsWith("/dead"));
    expect(stuck.length).toBeLessThanOrEqual(2);
    expect(storage.left.map(({ place }) => place)).toEqual(stuck.map(() => "/dead"));
  });
});

test("a place that one call has waited for as long as a second gets no second helper", async () => {
  const { storage, helpers } = make({ deadlineMs: 20_000 });
  const first = outcome(storage.files.stat("/dead/a"));
  await later(1_300);
  const second = outcome(storage.files.stat("/dead/b"));
  // Others are asked all the same.
  expect(await outcome(storage.files.stat("/a"))).toBe("answered");
  await later(300);
  const asked = () => helpers.flatMap(({ calls }) => calls);
  expect(asked()).not.toContain("/dead/b");
  // It has answered after all: now the other one may try.
  helpers[0]!.says({ value: null });
  expect(await first).toBe("answered");
  await later(300);
  expect(asked()).toContain("/dead/b");
  for (const helper of helpers) helper.end();
  expect(await second).toBe("EIO");
});

describe("one that is late", () => {
  test("is left behind, killed as far as it can be, told, and counted until it ends", async () => {
    const { storage, helpers, said } = make();
    expect(await outcome(storage.files.stat("/dead/a"))).toBe("ETIMEDOUT");
    expect(helpers[0]!.signals).toEqual(["SIGKILL"]);
    expect(said[0]).toBe(
      'storage does not answer: process 100 waits for /dead (stat "/dead/a") and is left behind; ' +
        "there are 1 such, of at most 32",
    );
    expect(storage.left).toMatchObject([{ pid: 100, call: 'stat "/dead/a"', place: "/dead" }]);
    helpers[0]!.end();
    await later(1);
    expect(storage.left).toEqual([]);
    expect(said[1]).toMatch(/^\/dead has let go of process 100, after 0 s$/);
  });

  test("what it waits for is not asked again until it comes back; all else is", async () => {
    const { storage, helpers } = make();
    await outcome(storage.files.stat("/dead/a"));
    const start = performance.now();
    expect(await outcome(storage.files.realPath("/dead/b"))).toBe("ETIMEDOUT");
    expect(performance.now() - start).toBeLessThan(DEADLINE_MS);
    expect(await outcome(storage.files.stat("/a"))).toBe("answered");
    expect(helpers.flatMap(({ calls }) => calls)).toEqual(["/dead/a", "/a"]);
    helpers[0]!.end();
    await later(1);
    const again = outcome(storage.files.stat("/dead/b"));
    await later(10);
    expect(helpers[1]!.calls).toEqual(["/a", "/dead/b"]);
    helpers[1]!.end();
    expect(await again).toBe("EIO");
  });

  test("there are only so many", async () => {
    const { storage, helpers } = make({ leftMax: 3, deadlineMs: 20 });
    for (let at = 0; at < 3; at++) await outcome(storage.files.stat(`/dead${at}`));
    expect(helpers).toHaveLength(3);
    await expect(storage.files.stat("/a")).rejects.toThrow(
      "EIO: storage does not answer: 3 helpers wait for it already",
    );
    helpers[1]!.end();
    await later(1);
    expect(await outcome(storage.files.stat("/a"))).toBe("answered");
  });
});

test("one that ends by itself says why, and the next call gets another", async () => {
  const { storage, helpers } = make({
    start: (complaint) => {
      const helper = new FakeHelper(helpers.length);
      helpers.push(helper);
      complaint("no memory");
      return Promise.resolve(helper);
    },
  });
  const dead = storage.files.stat("/dead");
  await later(1);
  helpers[0]!.end();
  await expect(dead).rejects.toThrow('EIO: the storage helper ended: stat "/dead": no memory');
  expect(await outcome(storage.files.stat("/a"))).toBe("answered");
});

test("when none can be started, all that waits is told so", async () => {
  const { storage } = make({
    start: () => Promise.reject(Object.assign(new Error("no descriptor"), { code: "EMFILE" })),
  });
  expect(await Promise.all(["/a", "/b"].map((path) => outcome(storage.files.stat(path)))))
    .toEqual(["EMFILE", "EMFILE"]);
});

describe("what does not answer together", () => {
  const mounts = parseMountTable([
    "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
    "2 1 0:5 / /dev rw - devtmpfs udev rw",
    "3 1 8:17 / /local rw - ext4 /dev/sdb1 rw",
    "4 1 0:40 / /net rw - nfs4 server:/ rw",
    "5 4 0:41 / /net/more rw - fuse.sshfs host: rw",
    "6 1 0:42 / /data rw - btrfs /dev/sdc rw",
  ].join("\n"));
  const place = (...args: unknown[]) =>
    placeIn(mounts, { on: "files", call: "stat", args }, (loop) => ({ loop3: "/net/a" }[loop]));

  test.each([
    ["/net/a", '"/net" (nfs4)'],
    ["/net/more/a", '"/net/more" (fuse.sshfs)'],
    ["/network", '"/network"'],
    ["/local/a", '"/local/a"'],
    ["/data/a", '"/data/a"'],
    ["/a\n", '"/a\\n"'],
    ["/dev/loop3", '"/net" (nfs4)'],
    ["/dev/loop4", '"/dev/loop4"'],
  ])("%j: %s", (path, expected) => expect(place(path)).toBe(expected));

  test("by a file's identity, and for a loop device", () => {
    expect(place({ path: "/net/a", tag: "x" })).toBe('"/net" (nfs4)');
    expect(place({ node: "/dev/loop3" })).toBe('"/net" (nfs4)');
    expect(place({ file: "41:17", tag: "x" })).toBe('"/net/more" (fuse.sshfs)');
    expect(place({ tag: "x" })).toBe('"stat"');
  });
});

test("a helper has no descriptor of ours but its three pipes", async () => {
  await systemStorage.files.stat("/");
  const pids = spawnSync("pgrep", ["-P", String(process.pid)], { encoding: "utf8" }).stdout
    .trim().split("\n");
  const helper = pids.find((pid) => /storage/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8")));
  const open = readdirSync(`/proc/${helper}/fd`).map((fd) =>
    readlinkSync(`/proc/${helper}/fd/${fd}`)
  );
  expect(open.filter((file) => file.startsWith("pipe:"))).toHaveLength(3);
  // The runtime's own.
  const others = open.filter((file) => !/^(pipe|anon_inode):/.test(file));
  expect(others.filter((file) => !/^\/dev\/(null|urandom)$|\/bun(\.exe)?$/.test(file))).toEqual([]);
});
