/** The vif plugin: when the script is run. */
import { describe, expect, test } from "bun:test";
import vif from "../../backends/vif/plugin.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";

const patient = new AbortController().signal;
const ID = { backendDomid: 1, kind: "vif", frontendDomid: 7, devid: 0 };

describe("vif", () => {
  const make = () =>
    new FakeDevice(new FakeMachine(), ID, { script: "/s/vif-bridge", type: "vif" });

  test("fault 11: the script waits for the kernel's interface", async () => {
    const device = make();
    device.system.sleep = async (ms) => {
      device.now += ms;
      if (device.now >= 500) device.machine.files.set("/sys/class/net/vif7.0/mtu", "1500");
    };
    let at = 0;
    device.machine.script = async () => {
      at = device.now;
      await device.nodes.write({ "hotplug-status": "connected" });
    };
    await vif.add(device, patient);
    expect(at).toBe(500);
    expect(device.lines).toEqual(["wanted: script /s/vif-bridge"]);
  });

  test("fault 11: no longer than 2 s", async () => {
    const device = make();
    device.machine.script = () => device.nodes.write({ "hotplug-status": "connected" });
    await vif.add(device, patient);
    expect(device.now).toBe(2_000);
    expect(device.lines).toEqual([
      "wanted: script /s/vif-bridge",
      "interface vif7.0 does not exist; trying all the same [interface-missing]",
    ]);
    expect(device.machine.runs).toEqual(["network /s/vif-bridge add"]);
  });

  test("without its directory there is nothing to undo: the interface is gone too", async () => {
    const device = make();
    await vif.add(device, patient);
    device.store = null;
    await vif.remove(device, patient);
    expect(device.machine.runs).toEqual(["network /s/vif-bridge add"]);
  });
});
