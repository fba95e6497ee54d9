/** What a process plugin can do with its guest's QEMU and frontend. */
import { beforeEach, expect, test } from "bun:test";
import { CallLocks, useCapability } from "../../../plugins/process/capabilities.ts";
import { FakeDevice, FakeMachine } from "../../support/fake_device.ts";

let device: FakeDevice;
beforeEach(() => {
  const id = { backendDomid: 1, kind: "qdisk", frontendDomid: 7, devid: 0 };
  device = new FakeDevice(new FakeMachine(), id, {});
});

function use(name: string, ...args: unknown[]): Promise<unknown> {
  const { signal } = new AbortController();
  return useCapability({ device, signal, locks: new CallLocks() }, name, args);
}

test("starts, adopts, asks and releases", async () => {
  await use("deviceModel.start", ["/qemu", "-xen-attach"], { LIMIT: "1" });
  await use("deviceModel.adopt", ["/qemu"]);
  expect(await use("deviceModel.status")).toEqual({ state: "serving", detail: "" });
  await use("deviceModel.release");
  expect(device.machine.runs).toEqual([
    "device model LIMIT=1 /qemu -xen-attach",
    "adopts device model /qemu",
    "releases device model",
  ]);
});

test("learns the frontend's state", async () => {
  expect(await use("frontend.state")).toBeNull();
  device.frontendState = 4;
  expect(await use("frontend.state")).toBe(4);
});

test.each([[[]], [["/qemu -xen-attach"]], [[["/qemu"], ["LIMIT=1"]]], [[["/qemu"], { LIMIT: 1 }]]])(
  "%j starts nothing",
  async (args) => {
    await expect(use("deviceModel.start", ...args)).rejects.toThrow("expected ");
    expect(device.machine.runs).toEqual([]);
  },
);
