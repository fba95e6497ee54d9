/** Who could not look, or could not begin, does not say that there was nothing to do. */
import { describe, expect, test } from "bun:test";
import vbd from "../../backends/vbd/plugin.ts";
import { addRules, removeRules } from "../../backends/vif/packet_filter.ts";
import vif from "../../backends/vif/plugin.ts";
import { failure, FakeBlocks } from "../support/fake_blocks.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";
import { FakeLinks } from "../support/fake_links.ts";

const patient = new AbortController().signal;
const INTERFACE = { backendDomid: 1, kind: "vif", frontendDomid: 7, devid: 0 };
const DISK = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };
const SHORTAGES = ["EAGAIN", "EMFILE", "ENFILE", "ENOMEM", "ETIMEDOUT"];

/** An interface that a script set up as `wan`, or is about to. */
class Scene {
  readonly machine = new FakeMachine();
  readonly links = new FakeLinks();
  readonly device: FakeDevice;

  constructor(vifname: string | undefined) {
    this.machine.files.set("/sys/class/net/vif7.0/mtu", "1500");
    this.links.make("vif7.0");
    const named = vifname === undefined ? {} : { vifname };
    this.device = new FakeDevice(this.machine, INTERFACE, {
      ...{ script: "/s/vif-bridge", type: "vif", bridge: "xenbr0" },
      ...named,
    });
    Object.assign(this.device.system, { links: this.links });
    this.machine.script = () => this.device.nodes.write({ "hotplug-status": "connected" });
  }
}

describe("an interface whose number cannot be read", () => {
  const blind = () => Promise.reject(failure("EMFILE"));

  test("is not renamed: its name could not be given back", async () => {
    const { device, links, machine } = new Scene("wan");
    links.read = blind;
    await expect(vif.add(device, patient)).rejects.toThrow("EMFILE");
    expect(machine.runs).toEqual([]);
  });

  test("is set up where its name stays", async () => {
    const { device, links, machine } = new Scene(undefined);
    links.read = blind;
    await vif.add(device, patient);
    expect(machine.runs).toEqual(["network /s/vif-bridge add"]);
  });

  test("that is there has it recorded, and gets its name back", async () => {
    const { device, links } = new Scene("wan");
    const index = (await links.read("vif7.0"))!.index;
    await vif.add(device, patient);
    expect(device.undo["index"]).toBe(index);
    await links.rename("vif7.0", "wan");
    await vif.remove(device, patient);
    expect((await links.at(index))?.name).toBe("vif7.0");
  });
});

describe("a script that undoes", () => {
  const gone = async (error: Error, abort?: AbortController) => {
    const { device, machine } = new Scene(undefined);
    await vif.add(device, patient);
    device.store = null;
    device.copy = { script: "/s/vif-bridge" };
    machine.script = () => {
      abort?.abort(new Error("stopping"));
      return Promise.reject(error);
    };
    return await vif.remove(device, abort?.signal ?? patient);
  };
  const portless = async (error: Error) => {
    const { device, machine } = new Scene(undefined);
    await vif.add(device, patient);
    machine.script = () => Promise.reject(error);
    return await vif.remove(device, patient);
  };

  test.each(SHORTAGES)("and ends for %s has not undone anything", async (code) => {
    await expect(gone(failure(code))).rejects.toThrow(code);
    await expect(portless(failure(code))).rejects.toThrow(code);
  });

  test("and is stopped has not, either", async () => {
    const abort = new AbortController();
    await expect(gone(new Error("was stopped"), abort)).rejects.toThrow("stopping");
  });

  test("and fails by itself had nothing to undo: there is no interface, or it is nobody's port", async () => {
    await gone(new Error("exited with status 1"));
    await portless(new Error("exited with status 1"));
  });

  test("a disk, and was not told of what is another one's, is tried again", async () => {
    const machine = new FakeMachine();
    const device = new FakeDevice(machine, DISK, { script: "/s/block-own", params: "x" });
    device.begin();
    machine.script = async () => {
      await device.nodes.write({ "hotplug-status": "connected", "physical-device": "7:0" });
      await device.nodes.write({ node: "/dev/loop0" });
    };
    await vbd.add(device, patient);
    machine.script = () => Promise.reject(failure("EAGAIN"));
    await expect(vbd.remove(device, patient)).rejects.toThrow("EAGAIN");
    machine.script = () => Promise.reject(new Error("exited with status 1"));
    await vbd.remove(device, patient);
  });
});

describe("the packet filter", () => {
  const rules = [["FORWARD", "-j", "ACCEPT"]];
  const scene = (run: () => Promise<string>) => {
    const { device, machine } = new Scene(undefined);
    machine.files.set("/usr/sbin/iptables", "");
    device.system.run = run;
    return device;
  };

  test.each(SHORTAGES)(
    "that cannot be asked for %s is not one that lets all pass",
    async (code) => {
      const device = scene(() => Promise.reject(failure(code)));
      await expect(addRules(device, rules, patient)).rejects.toThrow(code);
      await expect(removeRules(device, rules, patient)).rejects.toThrow(code);
    },
  );

  test("that does not work has nothing to be let through, and nothing to be removed", async () => {
    const device = scene(() => Promise.reject(new Error("exited with status 3")));
    await addRules(device, rules, patient);
    await removeRules(device, rules, patient);
    expect(device.undo).toEqual({});
  });

  test("whose program is stopped has not removed anything", async () => {
    const abort = new AbortController();
    const device = scene(() => {
      abort.abort(new Error("stopping"));
      return Promise.reject(new Error("iptables was stopped"));
    });
    await expect(removeRules(device, rules, abort.signal)).rejects.toThrow("stopping");
    await expect(addRules(device, rules, abort.signal)).rejects.toThrow("stopping");
  });
});

describe("a path that a script has named", () => {
  const added = async (code: string) => {
    const machine = new FakeMachine();
    const device = new FakeDevice(machine, DISK, { script: "/s/block-own", params: "x" });
    device.begin();
    const blocks = new FakeBlocks();
    blocks.describe = () => Promise.reject(failure(code));
    Object.assign(device.system, { blocks });
    machine.script = () =>
      device.nodes.write({ "hotplug-status": "connected", "physical-device-path": "/dev/x" });
    await vbd.add(device, patient);
    return device.store?.get("physical-device");
  };

  test.each(["ENOENT", "ENOTDIR", "ENXIO", "ENODEV", "ELOOP", "ENAMETOOLONG"])(
    "and that is nothing here (%s) has no number",
    async (code) => expect(await added(code)).toBeUndefined(),
  );

  test.each(["EMFILE", "EIO", "ETIMEDOUT", "EAGAIN"])(
    "and that cannot be looked at (%s) fails",
    (code) => expect(added(code)).rejects.toThrow(code),
  );
});
