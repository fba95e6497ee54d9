/** The vbd backend's native mode: what it writes, what it refuses, and that it can be undone. */
import { beforeEach, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { checkDisk } from "../../backends/vbd/check.ts";
import { addNative, isNative, removeNative } from "../../backends/vbd/native.ts";
import { failure, FakeBlocks } from "../support/fake_blocks.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";
import { FakeSysfs } from "../support/fake_sysfs.ts";
import { type Fault, FaultInjector } from "../support/fault_injection.ts";

const FILE = "/images/disk";
const DISK = "/dev/sdb";
const patient = new AbortController().signal;

let machine: FakeMachine;
let blocks: FakeBlocks;

beforeEach(() => {
  machine = new FakeMachine();
  blocks = new FakeBlocks();
  blocks.file(FILE, 17);
  blocks.block(DISK, 8, 16);
  blocks.block("/dev/vg/disk", 253, 31, { path: "/dev/dm-31" });
});

function disk(guest: number, more: Record<string, string | undefined> = {}): FakeDevice {
  const id = { backendDomid: 1, kind: "vbd", frontendDomid: guest, devid: 51712 };
  const nodes = { type: "phy", params: FILE, mode: "w", state: "2", ...more };
  const present = Object.entries(nodes).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const]
  );
  return new FakeDevice(machine, id, Object.fromEntries(present));
}

const RESULTS = ["node", "physical-device", "physical-device-path", "hotplug-status"];

/** What was written. */
function results(device: FakeDevice): Record<string, string> {
  return Object.fromEntries(
    [...device.store ?? []].filter(([name]) =>
      name.startsWith("hotplug") || RESULTS.includes(name)
    ),
  );
}

describe("set up", () => {
  test("a file: its loop device, in one transaction; removed by the record alone", async () => {
    const device = disk(7);
    const writes: string[][] = [];
    const { write } = device.nodes;
    device.nodes.write = async (nodes) => {
      writes.push(Object.keys(nodes));
      await write(nodes);
    };
    const theirs = blocks.losetup("1:99", "/images/other");
    await addNative(device, blocks, patient);
    expect(results(device)).toEqual({
      node: "/dev/loop1",
      "physical-device": "7:1",
      "physical-device-path": "/dev/loop1",
      "hotplug-status": "connected",
    });
    expect(writes).toEqual([RESULTS]);
    expect(blocks.requests).toMatchObject([{ path: FILE, readOnly: false, directIo: false }]);
    expect(isNative(device)).toBe(true);
    device.store = null;
    await removeNative(device, blocks, patient);
    await removeNative(device, blocks, patient);
    expect([...blocks.attached.values()]).toEqual([theirs]);
    expect(machine.runs).toEqual([]);
  });

  test("block devices: by path, by name, by link; numbers in hexadecimal", async () => {
    for (
      const [params, path, number] of [
        [DISK, DISK, "8:10"],
        ["sdb", DISK, "8:10"],
        ["vg/disk", "/dev/dm-31", "fd:1f"],
        ["/dev/vg/disk", "/dev/dm-31", "fd:1f"],
      ] as const
    ) {
      const device = disk(7, { params });
      await addNative(device, blocks, patient);
      expect(results(device)).toEqual({
        "physical-device": number,
        "physical-device-path": path,
        "hotplug-status": "connected",
      });
      await removeNative(device, blocks, patient);
      device.forget();
    }
    expect(blocks.requests).toEqual([]);
  });

  test("modes; past the page cache only when the toolstack says so", async () => {
    for (const mode of ["r", "r!", "ro", "w", "w!", "rw", "rw!"]) {
      const device = disk(7, { mode, "direct-io-safe": "1", type: "file" });
      await addNative(device, blocks, patient);
      const readOnly = !mode.includes("w");
      expect(blocks.requests.at(-1)).toMatchObject({ readOnly, directIo: true });
      await removeNative(device, blocks, patient);
    }
    expect(blocks.attached.size).toBe(0);
  });

  test("what is set up already is left alone, as by the script", async () => {
    const device = disk(7, { "physical-device": "7:9" });
    await addNative(device, blocks, patient);
    expect(results(device)).toEqual({ "physical-device": "7:9" });
    expect(device.undo).toEqual({});
  });
});

describe("refused, with one line and nothing half-made", () => {
  beforeEach(() => {
    blocks.targets.set("/images", {
      ...{ path: "/images", kind: "directory", identity: "1:2", size: 0, readOnly: true },
    });
    blocks.targets.set("/dev/null", {
      ...{ path: "/dev/null", kind: "other", identity: "1:3", size: 0, readOnly: true },
    });
    blocks.targets.set("/dev/shm/file", { ...blocks.targets.get(FILE)!, path: "/dev/shm/file" });
  });

  const cases: readonly (readonly [string, Record<string, string | undefined>, RegExp])[] = [
    ["no params", { params: undefined }, /^node params is missing: the path of a block device/],
    ["empty params", { params: "" }, /^node params is "": the path of a block device or file/],
    ["a NUL", { params: "/a\0b" }, /^node params is "\/a\\u0000b": .* control characters/],
    ["a newline", { params: "/a\nb" }, /^node params is "\/a\\nb": .* control characters/],
    ["an escape sequence", { params: "/\x9b1m" }, /control characters is expected$/],
    [
      "a missing file",
      { params: "/x" },
      /"\/x": it does not exist; a block device or regular file is/,
    ],
    [
      "a missing name",
      { params: "vg/x" },
      /"vg\/x": looked for "\/dev\/vg\/x": it does not exist; the name of a block device in \/dev is expected \[target-missing\]$/,
    ],
    ["a name that leads out", { params: "../images/disk" }, /a name in \/dev without \.\., is/],
    ["a directory", { params: "/images" }, /"\/images": it is a directory; a block device or/],
    ["a character device", { params: "/dev/null" }, /it is no block device; a block device or/],
    [
      "a file by name",
      { params: "shm/file" },
      /it is no block device; the name of a block device in \/dev is expected \[target-missing\]$/,
    ],
    ["no mode", { mode: undefined }, /^node mode is missing: r or w is expected/],
    ["empty mode", { mode: "" }, /^node mode is "": r or w is expected/],
    ["another mode", { mode: "x" }, /^node mode is "x": r or w is expected, or r! or w! for/],
    ["another type", { type: "tap" }, /^node type is "tap": phy or file is expected$/],
    ["a closed device", { state: "5" }, /^closed or removed while .* \(state 5\)$/],
    ["a deleted directory", { state: undefined }, /\(state missing\)$/],
    ["far too much", { params: `/${"x".repeat(4000)}` }, /^.{200,400}…": it does not exist/],
  ];
  for (const [what, nodes, line] of cases) {
    test(what, async () => {
      const device = disk(7, nodes);
      const before = new Map(device.store);
      const error = await addNative(device, blocks, patient).then(() => null, (error) => error);
      expect(error?.message).toMatch(line);
      expect(error.message).not.toContain("\n");
      expect(device.store).toEqual(before);
      expect(isNative(device)).toBe(true);
      await removeNative(device, blocks, patient);
      expect(blocks.attached.size).toBe(0);
    });
  }

  test("a device that has none behind it, or that cannot be looked at", async () => {
    for (
      const [code, text] of [["ENXIO", /it has no device behind it;/], [
        "EACCES",
        /looked at \(EACCES\);/,
      ]] as const
    ) {
      blocks.describe = () => Promise.reject(failure(code));
      await expect(addNative(disk(7), blocks, patient)).rejects.toThrow(text);
    }
  });

  test("a device that is another one when others have been waited for", async () => {
    const device = disk(7, { params: DISK });
    const { recordUndo } = device;
    device.recordUndo = async (more) => {
      await recordUndo.call(device, more);
      blocks.block(DISK, 8, 16);
    };
    await expect(addNative(device, blocks, patient)).rejects.toThrow(/became another device/);
    expect(results(device)).toEqual({});
  });

  test("a call that was given up", async () => {
    const gone = AbortSignal.abort(new Error("too late"));
    await expect(addNative(disk(7), blocks, gone)).rejects.toThrow("too late");
    expect(blocks.requests).toEqual([]);
  });
});

describe("sharing", () => {
  const busy = { "hotplug-status": "busy" };

  async function refused(device: FakeDevice, line: RegExp): Promise<void> {
    await expect(addNative(device, blocks, patient)).rejects.toThrow(line);
    expect(results(device)).toEqual({ ...busy, "hotplug-error": expect.stringMatching(line) });
    await removeNative(device, blocks, patient);
    device.forget();
  }

  test("what cannot be written is busy, as the script says; unless it is unchecked", async () => {
    blocks.file("/images/ro", 18, { readOnly: true });
    blocks.block("/dev/sr0", 11, 0, { readOnly: true });
    for (const params of ["/images/ro", "/dev/sr0"]) {
      await refused(disk(7, { params }), /is read-only, and cannot be written as mode w says$/);
      const reader = disk(7, { params, mode: "r" });
      await addNative(reader, blocks, patient);
      await removeNative(reader, blocks, patient);
    }
    await addNative(disk(7, { params: "/dev/sr0", mode: "w!" }), blocks, patient);
    const device = disk(8, { params: "/images/ro", mode: "w!" });
    await expect(addNative(device, blocks, patient)).rejects.toThrow("EROFS");
  });

  test("fault 20: what one guest writes, no other guest gets; two may read", async () => {
    const first = disk(7);
    await addNative(first, blocks, patient);
    await refused(disk(8), /cannot be shared: another guest's device writes it.*\(vbd\/7/);
    await refused(disk(8, { mode: "r" }), /cannot be shared: another guest's device writes it/);
    await removeNative(first, blocks, patient);
    first.forget();
    const reader = disk(9, { mode: "r" });
    await addNative(reader, blocks, patient);
    await refused(disk(8), /uses it, or a part of it, and this one is to write it \(vbd\/9/);
    await removeNative(reader, blocks, patient);
    reader.forget();
    await addNative(disk(7), blocks, patient);
    await addNative(disk(8, { mode: "w!" }), blocks, patient);
    expect(blocks.attached.size).toBe(2);
  });

  test("fault 20: of two at the same time, one gets it", async () => {
    const turns = new Map<string, Promise<unknown>>();
    const devices = [disk(7), disk(8), disk(9)];
    for (const device of devices) {
      device.system.exclusively = (name, _, work) => {
        const turn = (turns.get(name) ?? Promise.resolve()).then(work);
        turns.set(name, turn.catch(() => {}));
        return turn;
      };
    }
    const ends = await Promise.allSettled(
      devices.map((device) => addNative(device, blocks, patient)),
    );
    expect(ends.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
    expect(blocks.attached.size).toBe(1);
  });

  test("fault 20: a device that is just letting go is waited for", async () => {
    const first = disk(7);
    await addNative(first, blocks, patient);
    const second = disk(8);
    second.system.sleep = async () => {
      await removeNative(first, blocks, patient);
      first.forget();
    };
    await addNative(second, blocks, patient);
    expect(blocks.attached.size).toBe(1);
  });

  test("fault 20: through another loop device of the same file as well", async () => {
    await addNative(disk(7), blocks, patient);
    blocks.block("/dev/loop0", 7, 0, { carries: "1:17" });
    machine.files.set("/sys/dev/block/7:0/loop/backing_file", FILE);
    machine.identities.set(FILE, "1:17");
    await refused(disk(8, { params: "/dev/loop0" }), /cannot be shared: another guest's/);
  });

  test("what is mounted here: not to be written; nor read if the mount can write", async () => {
    const sysfs = new FakeSysfs(machine);
    const mounted = { path: DISK, identity: "block 2064", number: "8:16" };
    sysfs.mount({ path: "/dev/root", identity: "", number: "254:0" }, "rw", "/");
    sysfs.mount(mounted, "rw", "/mnt\\040x");
    const here =
      /"\/dev\/sdb" is mounted here on "\/mnt x": unmount it; with mode .! it may \[storage-in-use\]$/;
    await refused(disk(7, { params: DISK }), here);
    await refused(disk(7, { params: DISK, mode: "r" }), here);
    await addNative(disk(9, { params: DISK, mode: "w!" }), blocks, patient);
    machine.undoRecords.clear();
    machine.files.delete("/proc/self/mountinfo");
    sysfs.mount(mounted, "ro");
    await refused(disk(7, { params: DISK }), /is mounted here/);
    const reader = disk(8, { params: DISK, mode: "r" });
    await addNative(reader, blocks, patient);
    reader.forget();
    // A file, through somebody's loop device.
    machine.identities.set(FILE, "1:17");
    const loop = sysfs.loop({ path: FILE, identity: "1:17", number: "" });
    for (
      const own of [
        loop,
        // A file system with a made-up number; a name that does not exist here; a partition.
        { ...loop, number: "" },
        { ...loop, path: "/elsewhere/disk" },
        sysfs.partition(loop, { start: 512 }),
      ]
    ) {
      machine.files.delete("/proc/self/mountinfo");
      sysfs.mount(own);
      await refused(disk(7), /is mounted here/);
    }
  });
});

describe("later", () => {
  test("fault 16: its block device is gone, or is another one", async () => {
    const device = disk(7, { params: DISK });
    await addNative(device, blocks, patient);
    const sysfs = "/sys/dev/block/8:16";
    machine.files.set(`${sysfs}/diskseq`, `${blocks.targets.get(DISK)!.diskseq}\n`);
    expect(await checkDisk(device)).toEqual({});
    machine.files.set(`${sysfs}/diskseq`, "7\n");
    expect(await checkDisk(device)).toEqual({
      broken: "its block device 8:10 is another one by now",
    });
    machine.files.set(`${sysfs}/removable`, "1\n");
    expect(await checkDisk(device)).toEqual({});
    for (const name of ["diskseq", "removable"]) machine.files.delete(`${sysfs}/${name}`);
    expect(await checkDisk(device)).toEqual({ broken: "its block device 8:10 is gone" });
    device.store = null;
    expect(await checkDisk(device)).toEqual({});
  });

  test("fault 16: its loop device was detached by somebody", async () => {
    const device = disk(7);
    await addNative(device, blocks, patient);
    const sysfs = "/sys/dev/block/7:0";
    machine.files.set(`${sysfs}/size`, "8\n");
    machine.files.set(`${sysfs}/loop/backing_file`, `${FILE}\n`);
    expect(await checkDisk(device)).toEqual({});
    machine.files.delete(`${sysfs}/loop/backing_file`);
    expect(await checkDisk(device)).toEqual({ broken: "its loop device /dev/loop0 was detached" });
  });

  test("fault 18: a loop device that is another one's by now is left alone", async () => {
    const device = disk(7);
    await addNative(device, blocks, patient);
    blocks.attached.clear();
    blocks.losetup("1:17", FILE);
    await removeNative(device, blocks, patient);
    expect(blocks.attached.size).toBe(1);
  });

  test("a loop device that stays in use is left to the kernel, after a while", async () => {
    const device = disk(7);
    await addNative(device, blocks, patient);
    blocks.open.add("/dev/loop0");
    await removeNative(device, blocks, patient);
    expect(device.now).toBeGreaterThanOrEqual(5_000);
    expect(device.lines).toEqual(["/dev/loop0 is still in use: it is detached when that ends"]);
    device.now = 0;
    device.system.sleep = async () => void blocks.open.clear();
    await removeNative(device, blocks, patient);
    expect(blocks.attached.size).toBe(0);
  });

  test("an add that was cut short is undone by the next one", async () => {
    const device = disk(7);
    const { attachLoop } = blocks;
    blocks.attachLoop = async (request) => {
      await attachLoop.call(blocks, request);
      throw new Error("killed");
    };
    await expect(addNative(device, blocks, patient)).rejects.toThrow("killed");
    blocks.attachLoop = attachLoop;
    await addNative(device, blocks, patient);
    expect(blocks.attached.size).toBe(1);
    await removeNative(device, blocks, patient);
    expect(blocks.attached.size).toBe(0);
  });
});

describe("at any call", () => {
  const faults: fc.Arbitrary<Fault> = fc.record({
    call: fc.nat(20),
    when: fc.constantFrom("before", "after"),
    deadly: fc.boolean(),
  });

  test("failure or death, while adding and while removing: the record undoes it", async () => {
    let hits = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          params: fc.constantFrom(FILE, FILE, FILE, DISK, "vg/disk", "/none", "\n"),
          mode: fc.constantFrom("r", "w", "w!"),
          inUse: fc.array(fc.nat(3), { maxLength: 4 }),
          sharedWith: fc.option(fc.constantFrom("r", "w")),
        }),
        faults,
        faults,
        fc.boolean(),
        async ({ params, mode, inUse, sharedWith }, adding, removing, storeGone) => {
          machine = new FakeMachine();
          const { targets } = blocks;
          blocks = new FakeBlocks();
          for (const [path, target] of targets) blocks.targets.set(path, target);
          for (const file of inUse) blocks.losetup(file === 3 ? "1:17" : `1:${file}`, FILE);
          if (sharedWith !== null) await addNative(disk(9, { mode: sharedWith }), blocks, patient);
          const before = [...blocks.attached.values()];

          const device = disk(7, { params, mode });
          const injector = new FaultInjector(adding);
          const [faulty, there] = [injector.wrap(device), injector.wrap(blocks)];
          const error = await addNative(faulty, there, patient).then(() => null, (error) => error);
          if (injector.calls > adding.call) hits++;
          const written = device.store?.has("hotplug-status") &&
            device.store.get("hotplug-status") === "connected";
          // Only a call that had its effect and failed all the same can leave results.
          if (error !== null && written) expect(adding.when).toBe("after");
          if (error === null) expect(written).toBe(true);
          const stages = RESULTS.slice(1).map((name) => device.store?.has(name));
          if (written) expect(stages).not.toContain(false);

          if (storeGone) device.store = null;
          // By a daemon that was killed as well, or not, and the one after it.
          const second = new FaultInjector(removing);
          await removeNative(second.wrap(device), second.wrap(blocks), patient).catch(() => {});
          await removeNative(device, blocks, patient);
          expect([...blocks.attached.values()]).toEqual(before);
          await removeNative(device, blocks, patient);
          expect([...blocks.attached.values()]).toEqual(before);
        },
      ),
      { numRuns: 1000 },
    );
    expect(hits).toBeGreaterThan(300);
  });
});
