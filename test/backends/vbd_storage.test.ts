/** Which disks share storage: by what they stand on, in bytes as far as the kernel tells. */
import { beforeEach, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  formatUse,
  identityOfNumber,
  numberOfIdentity,
  overlaps,
  parseUse,
  stackOf,
} from "../../backends/vbd/stack.ts";
import { mayBe, parseMounts } from "../../backends/vbd/mounts.ts";
import vbd from "../../backends/vbd/plugin.ts";
import { FakeBlocks } from "../support/fake_blocks.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";
import { FakeSysfs, type Thing } from "../support/fake_sysfs.ts";

const patient = new AbortController().signal;

let machine: FakeMachine;
let sysfs: FakeSysfs;

beforeEach(() => {
  machine = new FakeMachine();
  sysfs = new FakeSysfs(machine);
  machine.script = async (action, { nodes }) => {
    if (action === "add") await nodes.write({ "physical-device": "1:0" });
  };
});

function disk(guest: number, params: string, more: Record<string, string> = {}): FakeDevice {
  const id = { backendDomid: 1, kind: "vbd", frontendDomid: guest, devid: 51712 };
  const nodes = { script: "/s/block", params, mode: "w", ...more };
  const device = new FakeDevice(machine, id, nodes);
  device.begin();
  return device;
}

const add = (guest: number, params: string, more: Record<string, string> = {}) =>
  vbd.add(disk(guest, params, more), patient);

/** Two guests' disks, in this order: whether the second one is refused. */
async function isRefused(first: string, second: string): Promise<boolean> {
  machine.undoRecords.clear();
  machine.runs.length = 0;
  await add(7, first);
  const device = disk(8, second);
  const refused = await vbd.add(device, patient).then(() => false, () => true);
  expect(device.store?.get("hotplug-status") === "busy").toBe(refused);
  expect(machine.runs).toHaveLength(refused ? 1 : 2);
  return refused;
}

/** The same in both orders. */
async function collide(one: Thing, other: Thing): Promise<boolean> {
  const [there, back] = [
    await isRefused(one.path, other.path),
    await isRefused(other.path, one.path),
  ];
  expect(there).toBe(back);
  return there;
}

describe("two guests' disks", () => {
  test("a disk and its partition; not two partitions of it", async () => {
    const whole = sysfs.disk();
    const first = sysfs.partition(whole, { start: 1024, size: 1024 });
    const second = sysfs.partition(whole, { start: 2048, size: 1024 });
    expect(await collide(whole, first)).toBeTrue();
    expect(await collide(first, first)).toBeTrue();
    expect(await collide(first, second)).toBeFalse();
    expect(await collide(first, sysfs.disk())).toBeFalse();
  });

  test("a file and a loop device into it; not two that are apart", async () => {
    const file = sysfs.file();
    const head = sysfs.loop(file, { start: 0, size: 4096 });
    const tail = sysfs.loop(file, { start: 4096 });
    const across = sysfs.loop(file, { start: 4095, size: 2 });
    expect(await collide(file, tail)).toBeTrue();
    expect(await collide(head, tail)).toBeFalse();
    expect(await collide(head, across)).toBeTrue();
    expect(await collide(tail, across)).toBeTrue();
    const ofLoop = sysfs.loop(tail, { start: 512, size: 512 });
    expect(await collide(ofLoop, file)).toBeTrue();
    expect(await collide(ofLoop, tail)).toBeTrue();
    expect(await collide(ofLoop, head)).toBeFalse();
    expect(await collide(ofLoop, sysfs.loop(file, { start: 5120, size: 512 }))).toBeFalse();
    expect(await collide(ofLoop, sysfs.loop(file, { start: 5119, size: 512 }))).toBeTrue();
    const partition = sysfs.partition(tail, { start: 512, size: 512 });
    expect(await collide(partition, ofLoop)).toBeTrue();
  });

  test("a table and what it is over, all the way down; not two tables that divide it", async () => {
    const whole = sysfs.disk();
    const other = sysfs.disk();
    const partition = sysfs.partition(whole, { start: 1024, size: 4096 });
    const next = sysfs.partition(whole, { start: 8192, size: 512 });
    const volume = sysfs.table([partition, other]);
    const sibling = sysfs.table([partition]);
    for (const below of [partition, whole, other, volume]) {
      expect(await collide(volume, below)).toBeTrue();
    }
    expect(await collide(volume, sibling)).toBeFalse();
    expect(await collide(volume, next)).toBeFalse();
    const encrypted = sysfs.table([volume], "CRYPT-LUKS2-x");
    const [left, right] = [0, 4096].map((start) => sysfs.loop(encrypted, { start, size: 4096 }));
    expect(await collide(left!, right!)).toBeFalse();
    expect(await collide(left!, volume)).toBeTrue();
    expect(await collide(encrypted, volume)).toBeTrue();
    expect(await collide(encrypted, whole)).toBeTrue();
    expect(await collide(encrypted, sibling)).toBeFalse();
    expect(await collide(encrypted, sysfs.table([volume], "CRYPT-LUKS2-y"))).toBeTrue();
    // Thin volumes: a pool over two volumes, divided once more.
    const pool = sysfs.table([sysfs.table([partition]), sysfs.table([partition])]);
    const [thin, thinner] = [sysfs.table([pool]), sysfs.table([pool])];
    expect(await collide(thin, thinner)).toBeFalse();
    expect(await collide(thin, sibling)).toBeFalse();
    expect(await collide(thin, pool)).toBeTrue();
    expect(await collide(thin, partition)).toBeTrue();
  });

  test("volumes of a group on an encrypted disk", async () => {
    const whole = sysfs.disk();
    const opened = sysfs.table([whole], "CRYPT-LUKS2-x");
    const [one, two] = [sysfs.table([opened]), sysfs.table([opened])];
    expect(await collide(one, two)).toBeFalse();
    expect(await collide(one, opened)).toBeTrue();
    expect(await collide(one, whole)).toBeTrue();
  });

  test("the paths of a multipath disk", async () => {
    const paths = [sysfs.disk(), sysfs.disk()];
    const both = sysfs.table(paths, "mpath-x");
    expect(await collide(both, paths[1]!)).toBeTrue();
    const [one, two] = [sysfs.table([both], "part1-mpath-x"), sysfs.table([both], "part2-mpath-x")];
    expect(await collide(one, two)).toBeFalse();
    expect(await collide(one, paths[0]!)).toBeTrue();
  });

  test("a loop device on a file that has no name any more is asked itself; no other is", async () => {
    const file = sysfs.file();
    const loop = sysfs.loop(file);
    const stray = sysfs.loop({ ...file, path: "/gone (deleted)" });
    machine.files.set(`/sys/dev/block/${stray.number}/uevent`, "MAJOR=7\nDEVNAME=loop9\n");
    const asked: unknown[] = [];
    for (const guest of [7, 8]) {
      const device = disk(guest, guest === 7 ? loop.path : stray.path, { mode: "r" });
      const fake = new FakeBlocks();
      fake.loops = async (bounds) => {
        asked.push(bounds);
        return [{ file: file.identity } as never];
      };
      Object.assign(device.system, { blocks: fake });
      await vbd.add(device, patient);
    }
    expect(asked).toEqual([{ node: "/dev/loop9" }]);
    await expect(add(9, file.path)).rejects.toThrow("vbd/7/51712, vbd/8/51712");
  });
});

describe("a target that is no path", () => {
  test("the same words, for the same script", async () => {
    await add(7, "pool:disk", { script: "/s/block-net" });
    await expect(add(8, "pool:disk", { script: "/t/block-net" })).rejects.toThrow("vbd/7/51712");
    await add(9, "pool:other", { script: "/s/block-net" });
    await add(10, "pool:disk", { script: "/s/block-other" });
  });

  test("a name in /dev, and a path with a type before it", async () => {
    const volume = sysfs.disk("/dev/vg/disk");
    const file = sysfs.file();
    expect(await isRefused("vg/disk", volume.path)).toBeTrue();
    expect(await isRefused(`dummy:${file.path}`, file.path)).toBeTrue();
    expect(await isRefused(file.path, `aio:${file.path}`)).toBeTrue();
  });

  test("no target at all is shared by all", async () => {
    expect(await isRefused("", "")).toBeFalse();
  });

  test("what cannot be a path is looked for nowhere", async () => {
    const device = disk(7, `iqn=${"x".repeat(5000)}`);
    device.system.identityOf = () => Promise.reject(Object.assign(new Error(), { code: "EIO" }));
    await vbd.add(device, patient);
  });

  test("known only by what the script made: undone at once, without the other's device", async () => {
    const made = sysfs.disk();
    const [major, minor] = made.number.split(":").map(Number);
    const seen: (string | undefined)[] = [];
    machine.script = async (action, { nodes }) => {
      const number = `${major!.toString(16)}:${minor!.toString(16)}`;
      if (action === "add") await nodes.write({ "physical-device": number });
      else seen.push(await nodes.read("physical-device"));
    };
    const net = { script: "/s/block-net" };
    const first = disk(7, "pool:a", net);
    await vbd.add(first, patient);
    const second = disk(8, "pool:b", net);
    await expect(vbd.add(second, patient)).rejects.toThrow(/cannot be shared: .*vbd\/7\/51712/);
    expect(second.store?.get("hotplug-status")).toBe("busy");
    await vbd.remove(second, patient);
    await vbd.remove(first, patient);
    expect(seen).toEqual([undefined, expect.stringMatching(/^8:/)]);
    // The other way round: the name first.
    machine.undoRecords.clear();
    await add(7, "pool:a", net);
    await expect(add(8, made.path)).rejects.toThrow("vbd/7/51712");
    await add(9, "pool:b", { ...net, mode: "w!" });
  });
});

describe("what this domain uses itself", () => {
  test.each(["mount", "swapOn"] as const)("%s: also through what stands on it", async (use) => {
    const whole = sysfs.disk();
    const partition = sysfs.partition(whole, { start: 512, size: 512 });
    const next = sysfs.partition(whole, { start: 1024, size: 512 });
    const file = sysfs.file();
    const volume = sysfs.table([sysfs.loop(file), partition]);
    const words = use === "mount" ? /is mounted here on "\/mnt": unmount it/ : /is swap space here/;
    sysfs[use](volume);
    for (const { path } of [whole, partition, file, volume]) {
      const device = disk(7, path);
      await expect(vbd.add(device, patient)).rejects.toThrow(words);
      expect(device.store?.get("hotplug-error")).toMatch(/with mode w! it may \[storage-in-use\]$/);
      await expect(add(7, path, { script: "/s/block-mine" })).rejects.toThrow(words);
      await expect(add(7, path, { mode: "r" })).rejects.toThrow(
        /with mode r! it may \[storage-in-use\]$/,
      );
      await add(7, path, { mode: "w!" });
      machine.undoRecords.clear();
    }
    await add(7, next.path);
  });

  test("mounted read-only it may be read; swap space may not", async () => {
    const whole = sysfs.disk();
    sysfs.mount(sysfs.partition(whole, { start: 512 }), "ro");
    await add(7, whole.path, { mode: "r" });
    await expect(add(8, whole.path)).rejects.toThrow(/mounted here/);
  });

  test("a swap file, and a file system with a made-up number", async () => {
    const file = sysfs.file("/swap file");
    sysfs.swapOn({ ...file, path: "/swap\\040file" });
    await expect(add(7, file.path)).rejects.toThrow('"/swap file" is swap space here');
    const whole = sysfs.disk();
    sysfs.mount({ ...whole, number: "0:42" });
    await expect(add(7, whole.path)).rejects.toThrow(/mounted here/);
  });
});

describe("what this domain has on a server that does not answer", () => {
  /** Paths that were asked for. */
  let asked: string[];

  /** Disks of the test's machine, of which `/dead` does not answer. */
  function dead(device: FakeDevice): FakeDevice {
    const { identityOf } = device.system;
    device.system.identityOf = async (path) => {
      asked.push(path);
      if (path.startsWith("/dead/")) throw Object.assign(new Error("late"), { code: "ETIMEDOUT" });
      return await identityOf(path);
    };
    return device;
  }

  beforeEach(() => {
    asked = [];
    const mounts = [
      "1 0 253:1 / / rw - ext4 /dev/vda1 rw",
      "2 1 0:45 / /dead rw - fuse server rw",
      "3 1 0:46 / /bound rw - fuse /dead/source rw",
    ];
    machine.files.set("/proc/self/mountinfo", mounts.map((line) => `${line}\n`).join(""));
    const file = sysfs.file("/dead/image");
    machine.identities.set(file.path, "45:17");
    sysfs.mount(sysfs.loop(file));
    sysfs.swapOn(sysfs.file("/dead/swap"));
  });

  test("concerns nobody who has nothing there", async () => {
    const files = [sysfs.file(), sysfs.disk(), sysfs.loop(sysfs.file())];
    for (const [index, { path }] of files.entries()) {
      await vbd.add(dead(disk(7 + index, path)), patient);
    }
    expect(asked.filter((path) => path.startsWith("/dead/"))).toEqual([]);
  });

  test("is asked for when a guest's may be the same; it is not served unless that is known", async () => {
    const other = sysfs.file("/elsewhere/on/it");
    machine.identities.set(other.path, "45:18");
    await expect(vbd.add(dead(disk(7, other.path)), patient)).rejects.toThrow("late");
    expect(asked.some((path) => path.startsWith("/dead/"))).toBeTrue();
  });
});

test.each([
  ["/image", "64769:1", true],
  ["/net/image", "64769:1", false],
  ["/net/image", "40:1", true],
  ["/net/image", "41:1", false],
  ["/data/image", "43:1", true],
  ["/data/image", "64769:1", false],
  ["/net/over/image", "64769:1", true],
  ["/network", "40:1", false],
  ["/image", "block 2049", false],
])("by the mounts, %s may be %s: %p", (path, identity, expected) => {
  const mounts = parseMounts([
    "1 0 253:1 / / rw - ext4 /dev/vda1 rw",
    "2 1 0:40 / /net rw - nfs4 server:/ rw",
    "3 1 0:42 / /data rw - btrfs /dev/sdc rw",
    "4 2 253:1 /x /net/over rw - ext4 /dev/vda1 rw",
  ].join("\n"));
  expect(mayBe(mounts, path, identity)).toBe(expected);
});

test("of two at the same time one gets it, whatever their names", async () => {
  const whole = sysfs.disk();
  const partition = sysfs.partition(whole, { start: 512 });
  const turns = new Map<string, Promise<unknown>>();
  const devices = [whole, partition, whole].map(({ path }, index) => disk(7 + index, path));
  for (const device of devices) {
    device.system.exclusively = (name, _, work) => {
      const turn = (turns.get(name) ?? Promise.resolve()).then(work);
      turns.set(name, turn.catch(() => {}));
      return turn;
    };
  }
  const ends = await Promise.allSettled(devices.map((device) => vbd.add(device, patient)));
  expect(ends.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
});

test("what an earlier daemon has set up is claimed when it is adopted", async () => {
  const whole = sysfs.disk();
  const first = disk(7, "pool:a", { script: "/s/block-net" });
  await first.nodes.write({ "physical-device": `8:${Number(whole.number.slice(2)).toString(16)}` });
  first.forget();
  await vbd.adopt?.(first, patient);
  await expect(add(8, whole.path)).rejects.toThrow("vbd/7/51712");
  await expect(add(8, "pool:a", { script: "/s/block-net" })).rejects.toThrow("vbd/7/51712");
});

test("a number and its identity", () => {
  fc.assert(fc.property(fc.nat(4095), fc.nat(1048575), (major, minor) => {
    expect(numberOfIdentity(identityOfNumber(major, minor))).toBe(`${major}:${minor}`);
  }));
  expect(identityOfNumber(8, 1)).toBe("block 2049");
  expect(numberOfIdentity("64769:3")).toBeUndefined();
});

test("a use is read as it was written; what is damaged stands for all", () => {
  const extent = fc.record({
    on: fc.constant("block 2049"),
    start: fc.nat(),
    end: fc.oneof(fc.nat(), fc.constant(Infinity)),
    settledAt: fc.array(fc.constantFrom("block 1", "block 2"), { maxLength: 2 }),
  });
  fc.assert(fc.property(fc.boolean(), fc.array(extent, { minLength: 1 }), (writes, extents) => {
    expect(parseUse("block 2049", formatUse({ writes, extents }))).toEqual({ writes, extents });
  }));
  expect(parseUse("x", "r 0-, nonsense")).toEqual({
    writes: true,
    extents: [{ on: "x", start: 0, end: Infinity, settledAt: [] }],
  });
});

/** Bytes of the machine: of which disk or file, and where. */
type Bytes = readonly { readonly of: string; readonly start: number; readonly end: number }[];

/** Part of some bytes that follow one another. */
function slice(bytes: Bytes, start: number, end: number): Bytes {
  let at = 0;
  return bytes.flatMap((piece) => {
    const [from, to] = [Math.max(start, at), Math.min(end, at + piece.end - piece.start)];
    const part = { ...piece, start: piece.start + from - at, end: piece.start + to - at };
    at += piece.end - piece.start;
    return from < to ? [part] : [];
  });
}

const sizeOf = (bytes: Bytes) => bytes.reduce((sum, { start, end }) => sum + end - start, 0);

const share = (a: Bytes, b: Bytes) =>
  a.some((one) => b.some((two) => one.of === two.of && one.start < two.end && two.start < one.end));

interface Made extends Thing {
  readonly bytes: Bytes;
  /** Whether a table, of which nothing tells what is where, is among what it is made of. */
  readonly divided: boolean;
  /** How much of it volumes have got. */
  given: number;
  /** What stands on it. */
  use: "none" | "parts" | "volumes" | "all";
}

const SIZE = 64 * 512;

test("whatever stands on whatever: what shares bytes is found, and nothing else but through tables", async () => {
  const step = fc.record({
    kind: fc.constantFrom("disk", "file", "partition", "loop", "volume", "crypt"),
    over: fc.nat(),
    more: fc.nat(),
    start: fc.nat(63),
    size: fc.integer({ min: 1, max: 64 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 12 }), async (steps) => {
      machine = new FakeMachine();
      sysfs = new FakeSysfs(machine);
      const made: Made[] = [];
      const put = (thing: Thing, bytes: Bytes, divided: boolean) =>
        made.push({ ...thing, bytes, divided, given: 0, use: "none" });
      for (const { kind, over, more, start: at, size } of steps) {
        const below = made[over % Math.max(1, made.length)];
        const whole = (thing: Thing) => [{ of: thing.identity, start: 0, end: SIZE }];
        if (below === undefined || kind === "disk" || kind === "file") {
          const thing = kind === "file" ? sysfs.file() : sysfs.disk();
          put(thing, whole(thing), false);
          continue;
        }
        const sectors = Math.floor(sizeOf(below.bytes) / 512);
        const start = (at % sectors) * 512;
        const end = Math.min(start + size * 512, sectors * 512);
        const bytes = slice(below.bytes, start, end);
        const canBeParted = below.use === "none" || below.use === "parts";
        if (kind === "loop" && canBeParted) {
          put(sysfs.loop(below, { start, size: end - start }), bytes, below.divided);
          below.use = "parts";
        }
        if (below.number === "") continue;
        if (kind === "partition" && canBeParted) {
          put(sysfs.partition(below, { start, size: end - start }), bytes, below.divided);
          below.use = "parts";
        }
        if (kind === "crypt" && below.use === "none") {
          put(sysfs.table([below], "CRYPT-x"), below.bytes, true);
          below.use = "all";
        }
        // Volumes get pieces that no other has.
        const second = made[more % made.length]!;
        const disks = [...new Set([below, second])].filter((each) =>
          each.number !== "" && (each.use === "none" || each.use === "volumes") &&
          each.given + 512 <= sizeOf(each.bytes)
        );
        if (kind !== "volume" || disks.length === 0) continue;
        const pieces = disks.flatMap((each) => {
          const from = each.given;
          each.given = Math.min(sizeOf(each.bytes), from + size * 64);
          each.use = "volumes";
          return slice(each.bytes, from, each.given);
        });
        put(sysfs.table(disks), pieces, true);
      }
      const { system } = disk(7, "");
      const stacks = await Promise.all(made.map(({ identity }) => stackOf(system, identity)));
      for (const [index, one] of made.entries()) {
        for (const [other, two] of made.entries()) {
          const found = stacks[index]!.some((a) => stacks[other]!.some((b) => overlaps(a, b)));
          const expected = share(one.bytes, two.bytes);
          if (expected) expect([one.path, two.path, found]).toEqual([one.path, two.path, true]);
          // What of it is where is not known.
          if (one.divided || two.divided) continue;
          expect([one.path, two.path, found]).toEqual([one.path, two.path, expected]);
        }
      }
    }),
    { numRuns: 500 },
  );
});
