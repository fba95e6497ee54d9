/** The QEMU kinds' plugin, on a made-up device; test/real/qemu.more.test.ts has real processes. */
import { beforeEach, describe, expect, test } from "bun:test";
import qemu from "../../backends/qemu/plugin.ts";
import { programOf } from "../../backends/qemu/program.ts";
import type { Setting } from "../../contract/v1/plugin.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";

const BINARY = "/usr/libexec/xen-qemu-system-i386";
/** What libxl starts, word by word (tools/libs/light/libxl_dm.c). */
const ARGV = `${BINARY} -xen-domid 7 -xen-attach -name domain-7 -nographic -M xenpv ` +
  "-monitor /dev/null -serial /dev/null -parallel /dev/null";

const { signal } = new AbortController();
let machine: FakeMachine;

beforeEach(() => {
  machine = new FakeMachine();
  machine.files.set(BINARY, "");
});

function device(kind: string, settings: Record<string, Setting> = {}): FakeDevice {
  const id = { backendDomid: 1, kind, frontendDomid: 7, devid: 51712 };
  const made = new FakeDevice(machine, id, { state: "1", online: "1", params: "aio:/image" });
  made.settings = settings;
  made.frontendState = 1;
  // As QEMU: it takes what is Initialising.
  made.onModelStart = () => {
    if (made.store?.get("state") === "1") made.store.set("state", "2");
  };
  return made;
}

describe("add", () => {
  test.each(["qdisk", "9pfs"])("%s: a QEMU, started as libxl does", async (kind) => {
    const disk = device(kind);
    await qemu.add(disk, signal);
    expect(machine.runs).toEqual([`device model XEN_QEMU_CONSOLE_LIMIT=1048576 ${ARGV}`]);
  });

  test.each(["qusb", "vkbd", "vfb"])("%s: no QEMU, unless a setting says so", async (kind) => {
    await qemu.add(device(kind), signal);
    await qemu.add(
      device(kind, { serve: ["qusb", "vkbd", "vfb"].filter((x) => x !== kind) }),
      signal,
    );
    expect(machine.runs).toEqual([]);
    await qemu.add(device(kind, { serve: [kind] }), signal);
    expect(machine.runs).toHaveLength(1);
  });

  test("settings: another program, a user, further arguments", () => {
    const settings = { binary: "/opt/qemu", user: "xen-qdisk", arguments: ["-sandbox", "on"] };
    const { argv } = programOf(settings, 7);
    expect(argv[0]).toBe("/opt/qemu");
    expect(argv.slice(-4)).toEqual(["-runas", "xen-qdisk", "-sandbox", "on"]);
    expect(programOf({ arguments: "-sandbox on" }, 7).argv.slice(-2)).toEqual(["-sandbox", "on"]);
  });

  test.each([
    [{ binary: "qemu" }, 'setting binary of plugin qemu is "qemu"; expected an absolute path'],
    [{ binary: 1 }, "setting binary of plugin qemu is 1; expected a text"],
    [
      { user: "-x" },
      'setting user of plugin qemu is "-x"; expected the name of a user, or UID:GID',
    ],
    [{ arguments: true }, "setting arguments of plugin qemu is true; expected a list of texts"],
    [
      { serve: ["vif"] },
      'setting serve of plugin qemu is ["vif"]; expected a list of some of qusb, vkbd, vfb',
    ],
  ] as [Record<string, Setting>, string][])("%j is refused", async (settings, message) => {
    await expect(qemu.add(device("qdisk", settings), signal)).rejects.toThrow(message);
    expect(machine.runs).toEqual([]);
  });

  test("without a QEMU: names the package and the setting", async () => {
    machine.files.delete(BINARY);
    await expect(qemu.add(device("qdisk"), signal)).rejects.toThrow(
      `QEMU ${BINARY} does not exist: install it (Debian: package qemu-system-xen), or name ` +
        "another one as binary in [plugins.qemu.settings] of the configuration [program-missing]",
    );
  });

  test("QEMU does not take it: says what it printed last", async () => {
    const disk = device("qdisk");
    disk.onModelStart = () => {
      disk.model = { state: "serving", detail: "Could not open '/image': No such file" };
    };
    await expect(qemu.add(disk, signal)).rejects.toThrow(
      "QEMU did not take it within 10 s: Could not open '/image': No such file",
    );
    expect(disk.now).toBe(10_000);
  });

  test("QEMU ends instead: does not wait any longer", async () => {
    const disk = device("qdisk");
    disk.onModelStart = () => {
      disk.model = { state: "ended", detail: "it ended: exit status 1" };
    };
    await expect(qemu.add(disk, signal)).rejects.toThrow("it ended: exit status 1");
    expect(disk.now).toBe(0);
  });
});

describe("remove and adopt", () => {
  test("remove releases, whatever there is", async () => {
    const disk = device("qdisk");
    disk.store = null;
    await qemu.remove(disk, signal);
    expect(machine.runs).toEqual(["releases device model"]);
  });

  test("adopt takes up; not for what has no QEMU", async () => {
    await qemu.adopt!(device("qdisk"), signal);
    await qemu.adopt!(device("vkbd"), signal);
    expect(machine.runs).toEqual([`adopts device model ${ARGV}`]);
  });
});

describe("check, with backend and frontend in states", () => {
  const ended = { state: "ended", detail: "it ended: killed by SIGABRT" } as const;
  const replaced = { state: "replaced", detail: "" } as const;

  function inStates(backend: string, frontend: number | undefined): FakeDevice {
    const disk = device("qdisk");
    disk.store!.set("state", backend);
    disk.frontendState = frontend;
    return disk;
  }

  test.each(["none", "serving"] as const)("%s: nothing to say", async (state) => {
    const disk = inStates("4", 4);
    disk.model = { state, detail: "" };
    expect(await qemu.check!(disk, signal)).toBeNull();
    expect(machine.runs).toEqual([]);
  });

  test.each([["4", 4], ["4", 5], ["5", 4], ["5", 5], ["4", undefined], ["6", 4]] as const)(
    "%s and %p: the guest may have memory shared with it: never handed on",
    async (backend, frontend) => {
      const disk = inStates(backend, frontend);
      disk.model = ended;
      expect(await qemu.check!(disk, signal))
        .toBe("the QEMU that serves it is gone: it ended: killed by SIGABRT");
      disk.model = replaced;
      expect(await qemu.check!(disk, signal)).toContain("until the guest has closed it");
      expect(disk.store!.get("state")).toBe(backend);
      expect(machine.runs).toEqual([]);
    },
  );

  test.each(
    [["1", 1], ["2", 1], ["2", 3], ["3", 3], ["4", 6], ["5", 6], ["6", 6], ["6", 1]] as const,
  )(
    "%s and %p: handed on to the next QEMU",
    async (backend, frontend) => {
      const disk = inStates(backend, frontend);
      disk.model = ended;
      expect(await qemu.check!(disk, signal)).toBeNull();
      expect(disk.store!.get("hotplug-error")).toContain("the QEMU that serves it is gone");
      expect(disk.store!.get("state")).toBe(backend);
      disk.model = replaced;
      const states: (string | undefined)[] = [];
      disk.onModelStart = () => {
        states.push(disk.store!.get("state"));
        disk.store!.set("state", "2");
      };
      expect(await qemu.check!(disk, signal)).toBeNull();
      expect(states).toEqual(["1"]);
      expect(disk.store!.get("hotplug-error")).toBeUndefined();
      expect(disk.model.state).toBe("serving");
    },
  );

  test.each([ended, replaced])(
    "the toolstack wants it removed: nobody else closes it, %j",
    async (model) => {
      const disk = inStates("5", 1);
      disk.store!.set("online", "0");
      disk.model = model;
      expect(await qemu.check!(disk, signal)).toContain("is gone");
      expect(disk.store!.get("state")).toBe("5");
      expect(machine.runs).toEqual([]);
    },
  );

  test("the toolstack wants it removed just then: its Closing is not taken for QEMU's doing", async () => {
    const disk = inStates("2", 1);
    disk.model = replaced;
    disk.onModelStart = () => {
      disk.store!.set("online", "0").set("state", "5");
    };
    expect(await qemu.check!(disk, signal)).toContain("QEMU did not take it");
  });

  test("the next QEMU has ended again: waits for the one after it", async () => {
    const disk = inStates("2", 1);
    disk.model = replaced;
    disk.onModelStart = () => {
      throw new Error("it ended: exit status 1");
    };
    expect(await qemu.check!(disk, signal)).toBeNull();
    expect(disk.lines).toEqual(["it ended: exit status 1"]);
  });

  test("the next QEMU does not take it: says so", async () => {
    const disk = inStates("2", 1);
    disk.model = replaced;
    disk.onModelStart = () => {};
    expect(await qemu.check!(disk, signal)).toBe("QEMU did not take it within 10 s");
  });
});
