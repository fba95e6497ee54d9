/** What libxl passes to scripts on Linux, word for word. */
import { expect, test } from "bun:test";
import { blockPasses, networkPasses } from "../../../core/hotplug/v1/convention.ts";

const disk = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };
const nic = { backendDomid: 1, kind: "vif", frontendDomid: 7, devid: 2 };

test("a block script: one pass", () => {
  for (const action of ["add", "remove"] as const) {
    expect(blockPasses(disk, "/etc/xen/scripts/block", action)).toEqual([{
      args: [action],
      env: {
        script: "/etc/xen/scripts/block",
        XENBUS_TYPE: "vbd",
        XENBUS_PATH: "backend/vbd/7/51712",
        XENBUS_BASE_PATH: "backend",
      },
    }]);
  }
  expect(blockPasses({ ...disk, kind: "vbd3" }, "/s", "add")[0]?.env["XENBUS_TYPE"]).toBe("vbd3");
});

const common = {
  script: "/etc/xen/scripts/vif-bridge",
  XENBUS_TYPE: "vif",
  XENBUS_PATH: "backend/vif/7/2",
  XENBUS_BASE_PATH: "backend",
  vif: "vif7.2",
};

test("a network script for a plain interface", () => {
  const facts = { type: "vif", gatewayDevice: "", tapExists: true };
  expect(networkPasses(nic, common.script, "add", facts)).toEqual([
    { args: ["online", "type_if=vif"], env: { ...common, netdev: "" } },
  ]);
  expect(networkPasses(nic, common.script, "remove", facts)).toEqual([
    { args: ["offline", "type_if=vif"], env: { ...common, netdev: "" } },
  ]);
});

test("a network script for an interface with an emulated twin: a second pass where that exists", () => {
  const env = { ...common, netdev: "eth0", INTERFACE: "vif7.2-emu" };
  const facts = { type: "vif_ioemu", gatewayDevice: "eth0", tapExists: true };
  expect(networkPasses(nic, common.script, "add", facts)).toEqual([
    { args: ["online", "type_if=vif"], env },
    { args: ["add", "type_if=tap"], env },
  ]);
  expect(networkPasses(nic, common.script, "remove", { ...facts, tapExists: false })).toEqual([
    { args: ["offline", "type_if=vif"], env },
  ]);
});
