/** The vbd plugin: whose a loop device is, and what may not be shared. */
import { beforeEach, describe, expect, test } from "bun:test";
import vbd from "../../backends/vbd/plugin.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";

const FILE = "/images/disk";
const patient = new AbortController().signal;

describe("vbd", () => {
  let machine: FakeMachine;

  beforeEach(() => {
    machine = new FakeMachine();
    machine.files.set(FILE, "");
    machine.identities.set(FILE, "1:17");
    machine.script = async (action, device) => {
      const loop = `loop${device.id.frontendDomid}`;
      if (action === "add") {
        machine.losetup(loop, FILE);
        await device.nodes.write({ node: `/dev/${loop}`, "physical-device": "7:0" });
      } else machine.detach((await device.nodes.read("node"))?.slice(5) ?? "");
    };
  });

  function disk(guest: number, more: Record<string, string> = {}): FakeDevice {
    const id = { backendDomid: 1, kind: "vbd", frontendDomid: guest, devid: 51712 };
    const nodes = { script: "/s/block", params: FILE, mode: "r", ...more };
    const device = new FakeDevice(machine, id, nodes);
    device.begin();
    return device;
  }

  describe("with a script of version 2", () => {
    beforeEach(() => {
      machine.scriptVersion = 2;
      machine.script = async (action, device) => {
        if (action !== "add") return;
        await device.nodes.write({
          params: "/dev/dm-3",
          "physical-device": "fd:3",
          "physical-device-path": "/dev/dm-3",
        });
      };
    });

    test("its loop devices are its own affair, with its directory gone too", async () => {
      machine.losetup("loop3", FILE);
      const device = disk(7);
      await vbd.add(device, patient);
      machine.losetup("loop4", FILE);
      await vbd.remove(device, patient);
      device.store = null;
      device.copy = { params: FILE };
      await vbd.remove(device, patient);
      expect(machine.loops).toEqual(["loop3", "loop4"]);
      expect(machine.runs).toEqual([
        "block /s/block add",
        "block /s/block remove",
        `block /s/block remove on {"params":"${FILE}"}`,
      ]);
    });

    test("one guest's file is refused to another before the script is run", async () => {
      await vbd.add(disk(7, { mode: "w" }), patient);
      machine.runs.length = 0;
      const second = disk(8);
      await expect(vbd.add(second, patient)).rejects.toThrow(/cannot be shared/);
      expect(machine.runs).toEqual([]);
      expect(second.store?.get("hotplug-status")).toBe("busy");
    });

    test("what only appears when it is prepared is claimed then, before it is added", async () => {
      const volume = "/dev/vg/disk";
      machine.script = async () => {
        machine.identities.set(volume, "block 3");
      };
      await vbd.add(disk(7, { params: volume, mode: "w" }), patient);
      expect(machine.runs).toEqual(["prepare /s/block", "block /s/block add"]);
      machine.identities.delete(volume);
      machine.runs.length = 0;
      const named = disk(8, { params: volume });
      await expect(vbd.add(named, patient)).rejects.toThrow(/cannot be shared/);
      expect(machine.runs).toEqual([]);
      machine.script = async () => {
        machine.identities.set("/dev/mapper/vg-disk", "block 3");
      };
      const second = disk(8, { params: "/dev/mapper/vg-disk" });
      await expect(vbd.add(second, patient)).rejects.toThrow(/cannot be shared/);
      expect(machine.runs).toEqual(["prepare /s/block"]);
    });

    test("of a target that is no path, the device that results is claimed", async () => {
      machine.identities.set("/dev/dm-3", "block 3");
      await vbd.add(disk(7, { params: "iqn=x", mode: "w" }), patient);
      const second = disk(8, { params: "iqn=y" });
      await expect(vbd.add(second, patient)).rejects.toThrow(/cannot be shared/);
    });

    test("adopted: the target is taken from its own directory, not from the overwritten node", async () => {
      const device = disk(7, { params: "/dev/dm-3" });
      await device.hotplug.write({ params: FILE });
      await vbd.adopt?.(device, patient);
      expect(device.undo).toMatchObject({
        params: FILE,
        "storage 1:17": "r 0-",
        script: "/s/block",
      });
      expect(machine.runs).toEqual([]);
    });
  });

  test("added and removed", async () => {
    const device = disk(7);
    await vbd.add(device, patient);
    expect(machine.loops).toEqual(["loop7"]);
    await vbd.remove(device, patient);
    expect(machine.loops).toEqual([]);
    expect(machine.runs).toEqual(["block /s/block add", "block /s/block remove"]);
  });

  // Debian's `block` says neither.
  test("a target that does not exist is named, whether its script fails or not", async () => {
    machine.script = async () => {};
    const said = '"/images/none" does not exist';
    const missing = { params: "/images/none" };
    await expect(vbd.add(disk(7, missing), patient))
      .rejects.toThrow(`${said} (script /s/block succeeded but wrote no physical-device)`);
    machine.script = async () => {
      throw new Error("block add: exited with status 1");
    };
    await expect(vbd.add(disk(7, missing), patient))
      .rejects.toThrow(`${said} (block add: exited with status 1)`);
    await expect(vbd.add(disk(7, { params: "none" }), patient)).rejects
      .toThrow('"none" does not exist: looked for "/dev/none" (');
    await expect(vbd.add(disk(7), patient)).rejects.toThrow(/status 1$/);
    await expect(vbd.add(disk(7, { ...missing, script: "/s/block-mine" }), patient))
      .rejects.toThrow(/status 1$/);
  });

  test("fault 17: with its directory gone, the record alone undoes it; twice does no harm", async () => {
    const device = disk(7);
    await vbd.add(device, patient);
    device.store = null;
    await vbd.remove(device, patient);
    await vbd.remove(device, patient);
    expect(machine.loops).toEqual([]);
    const known = { script: "/s/block", params: FILE };
    expect(machine.runs).toEqual([
      "block /s/block add",
      `block /s/block remove on ${JSON.stringify({ ...known, node: "/dev/loop7" })}`,
      "/usr/sbin/losetup -d /dev/loop7",
      // It is another's by now, as like as not.
      `block /s/block remove on ${JSON.stringify(known)}`,
    ]);
  });

  test("fault 17: with its file gone, likewise", async () => {
    const device = disk(7);
    await vbd.add(device, patient);
    machine.files.delete(FILE);
    machine.files.set("/sys/block/loop7/loop/backing_file", `${FILE} (deleted)\n`);
    machine.script = async () => {};
    await vbd.remove(device, patient);
    expect(machine.loops).toEqual([]);
  });

  test("fault 17: with its directory gone, the script gets a copy of what it needs", async () => {
    const device = disk(7);
    await vbd.add(device, patient);
    device.copy = { script: "/s/block", params: FILE, node: "/dev/loop7", mode: "r" };
    device.store = null;
    await vbd.remove(device, patient);
    expect(machine.runs.at(-2)).toBe(`block /s/block remove on ${JSON.stringify(device.copy)}`);
    expect(machine.loops).toEqual([]);
  });

  test("what its script has left is detached once, by the losetup that there is", async () => {
    machine.files.delete("/usr/sbin/losetup");
    machine.files.set("/sbin/losetup", "").set("/bin/losetup", "");
    const device = disk(7);
    await vbd.add(device, patient);
    machine.script = async () => {};
    machine.runs.length = 0;
    await vbd.remove(device, patient);
    expect(machine.runs.filter((run) => run.includes("losetup"))).toEqual([
      "/sbin/losetup -d /dev/loop7",
    ]);
    expect(device.lines.filter((line) => line.includes("/dev/loop7"))).toHaveLength(1);
  });

  test("without any losetup, that it is left is said once", async () => {
    machine.files.delete("/usr/sbin/losetup");
    const device = disk(7);
    await vbd.add(device, patient);
    machine.script = async () => {};
    machine.runs.length = 0;
    await vbd.remove(device, patient).catch(() => {});
    expect(machine.runs.filter((run) => run.includes("losetup"))).toEqual([]);
    expect(device.lines.filter((line) => line.includes("no losetup"))).toHaveLength(1);
  });

  test("fault 18: a loop device that is another one's by now is left alone", async () => {
    const device = disk(7);
    await vbd.add(device, patient);
    machine.detach("loop7");
    // The same number, even the same file, but another use.
    machine.losetup("loop7", FILE);
    device.store = null;
    await vbd.remove(device, patient);
    expect(machine.loops).toEqual(["loop7"]);
  });

  test("fault 18: nor does a script that is run again get its number", async () => {
    const device = disk(7);
    await vbd.add(device, patient);
    machine.detach("loop7");
    machine.losetup("loop7", "/images/another");
    await vbd.remove(device, patient);
    expect(machine.loops).toEqual(["loop7"]);
    expect(machine.runs).toEqual(["block /s/block add", "block /s/block remove"]);
    expect(device.lines).toEqual([
      expect.stringMatching(/^wanted: /),
      "/dev/loop7 is not what it was set up with any more: its script is not told of it",
    ]);
  });

  describe("whatever its script has left", () => {
    const opaque = { script: "/s/block-mine", params: "pool:disk" };

    test("it is run to undo what it was begun for: no path, and no loop device of the target", async () => {
      const device = disk(7, opaque);
      await vbd.add(device, patient);
      await vbd.remove(device, patient);
      expect(machine.runs).toEqual(["block /s/block-mine add", "block /s/block-mine remove"]);
      expect(machine.loops).toEqual([]);
    });

    test("and not what it was not: refused before it", async () => {
      await vbd.add(disk(7, { mode: "w" }), patient);
      machine.runs.length = 0;
      const device = disk(8, { script: "/s/block-mine" });
      await expect(vbd.add(device, patient)).rejects.toThrow(/cannot be shared/);
      await vbd.remove(device, patient);
      expect(machine.runs).toEqual([]);
    });

    test("it does not get the number of a loop device that is another's by now", async () => {
      const device = disk(7, opaque);
      await vbd.add(device, patient);
      machine.detach("loop7");
      machine.losetup("loop7", "/images/another");
      await vbd.remove(device, patient);
      expect(machine.runs.at(-1)).toBe("block /s/block-mine remove");
      expect(machine.loops).toEqual(["loop7"]);
    });

    test("nor where the kernel does not count uses", async () => {
      machine.script = async (action, { nodes }) => {
        const node = await nodes.read("node");
        if (action === "remove") return machine.detach(node?.slice(5) ?? "");
        machine.losetup("loop7", FILE);
        machine.files.delete("/sys/block/loop7/diskseq");
        await nodes.write({ node: "/dev/loop7", "physical-device": "7:7" });
      };
      const device = disk(7, opaque);
      await vbd.add(device, patient);
      await vbd.remove(device, patient);
      expect(machine.loops).toEqual([]);
      const second = disk(8, opaque);
      await vbd.add(second, patient);
      machine.detach("loop7");
      machine.files.set("/sys/block/loop7/loop/backing_file", "/images/another");
      await vbd.remove(second, patient);
      expect(machine.loops).toEqual(["loop7"]);
    });

    test("what it leaves on purpose stays", async () => {
      machine.script = async (action, { nodes }) => {
        if (action === "remove") return;
        machine.losetup("loop7", FILE);
        await nodes.write({ node: "/dev/loop7", "physical-device": "7:7" });
      };
      const device = disk(7, { script: "/s/block-mine" });
      await vbd.add(device, patient);
      await vbd.remove(device, patient);
      expect(machine.loops).toEqual(["loop7"]);
    });

    test("with neither directory nor record, a line says that nothing is undone", async () => {
      const device = disk(7);
      device.store = null;
      device.forget();
      await vbd.remove(device, patient);
      expect(device.lines.join()).toMatch(/nothing tells which script/);
    });
  });

  test("fault 19: a script that was killed before it could say what it took", async () => {
    machine.losetup("loop3", FILE);
    machine.script = async (action) => {
      if (action === "add") machine.losetup("loop4", FILE);
      throw new Error("was killed by SIGKILL");
    };
    const device = disk(7);
    await expect(vbd.add(device, patient)).rejects.toThrow("SIGKILL");
    await vbd.remove(device, patient).catch(() => {});
    // The one that was there before is somebody else's.
    expect(machine.loops).toEqual(["loop3"]);
  });

  test("fault 19: what came up while it was refused is another one's", async () => {
    const refused = disk(8, { mode: "w" });
    machine.script = async (action, device) => {
      if (device !== first || action !== "add") return;
      await expect(vbd.add(refused, patient)).rejects.toThrow(/cannot be shared/);
      // A script that does not say which loop device it took.
      machine.losetup("loop7", FILE);
      await device.nodes.write({ "physical-device": "7:7" });
    };
    const first = disk(7, { mode: "w" });
    await vbd.add(first, patient);
    await vbd.remove(refused, patient);
    expect(machine.loops).toEqual(["loop7"]);
  });

  test("fault 19: a remove script that fails does not keep the loop device", async () => {
    const device = disk(7);
    await vbd.add(device, patient);
    machine.script = () => Promise.reject(new Error("no store"));
    // Xen's: nothing but the loop device was to be undone.
    await vbd.remove(device, patient);
    expect(device.lines.join("\n")).toContain("nothing is left of it, but no store");
    expect(machine.loops).toEqual([]);
  });

  test("fault 19: any other remove script that fails has to run again", async () => {
    const device = disk(7, { script: "/s/other" });
    await vbd.add(device, patient);
    machine.script = () => Promise.reject(new Error("no store"));
    await expect(vbd.remove(device, patient)).rejects.toThrow("no store");
    expect(machine.loops).toEqual([]);
  });

  test("fault 20: what one guest writes, no other guest gets; two may read", async () => {
    const first = disk(7, { mode: "w" });
    await vbd.add(first, patient);
    for (const mode of ["r", "w"]) {
      const second = disk(8, { mode });
      await expect(vbd.add(second, patient)).rejects.toThrow(/"\/images\/disk" cannot be shared/);
      expect(second.now).toBeGreaterThanOrEqual(3_000);
      second.forget();
    }
    await vbd.remove(first, patient);
    first.forget();
    await vbd.add(disk(8), patient);
    await vbd.add(disk(9), patient);
    await expect(vbd.add(disk(10, { mode: "w" }), patient)).rejects.toThrow(/is to write it/);
  });

  test("fault 20: by whatever name; unless it is meant so, or is the same guest", async () => {
    machine.files.set("/images/link", "");
    machine.identities.set("/images/link", "1:17");
    await vbd.add(disk(7, { mode: "w" }), patient);
    await expect(vbd.add(disk(8, { mode: "w", params: "/images/link" }), patient)).rejects
      .toThrow(/cannot be shared/);
    await vbd.add(disk(9, { mode: "w!" }), patient);
    const id = { backendDomid: 1, kind: "vbd", frontendDomid: 9, devid: 1 };
    const nodes = { script: "/s/block", params: FILE, mode: "w" };
    machine.undoRecords.delete("vbd/7/51712");
    machine.undoRecords.delete("vbd/8/51712");
    await vbd.add(new FakeDevice(machine, id, nodes), patient);
  });

  test("fault 20: a device that is just letting go is waited for", async () => {
    const first = disk(7, { mode: "w" });
    await vbd.add(first, patient);
    const second = disk(8, { mode: "w" });
    second.system.sleep = async () => first.forget();
    await vbd.add(second, patient);
  });

  test("fault 16: its block device is gone", async () => {
    const device = disk(7);
    await vbd.add(device, patient);
    await device.nodes.write({ "physical-device": "fd:1f" });
    machine.files.set("/sys/dev/block/253:31/size", "8");
    expect(await vbd.check?.(device, patient)).toEqual({});
    machine.files.delete("/sys/dev/block/253:31/size");
    expect(await vbd.check?.(device, patient)).toEqual({
      broken: "its block device fd:1f is gone",
    });
  });

  test("fault 16: its block device has no sector left, unless that is a medium taken out", async () => {
    const device = disk(7);
    await vbd.add(device, patient);
    await device.nodes.write({ "physical-device": "fd:1f" });
    machine.files.set("/sys/dev/block/253:31/size", "0");
    expect(await vbd.check?.(device, patient)).toEqual({
      broken: "its block device fd:1f has no sector left",
    });
    machine.files.set("/sys/dev/block/253:31/removable", "1");
    expect(await vbd.check?.(device, patient)).toEqual({});
  });

  test("adopted without a record, it can be undone as well", async () => {
    const device = disk(7);
    await vbd.add(device, patient);
    device.forget();
    await vbd.adopt?.(device, patient);
    device.store = null;
    await vbd.remove(device, patient);
    expect(machine.loops).toEqual([]);
  });
});
