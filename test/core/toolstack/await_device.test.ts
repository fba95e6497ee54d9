import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { backendPath, type DeviceId, frontendPath } from "../../../core/xen/device_id.ts";
import { awaitDevice } from "../../../core/toolstack/await_device.ts";
import { systemClock } from "../../../platform/clock.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";

const disk: DeviceId = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };

describe("a disk that its script calls connected", () => {
  let store: StoreClient;
  const write = (nodes: Record<string, string>) =>
    Promise.all(
      Object.entries(nodes).map(([name, value]) =>
        store.write(`${backendPath(disk)}/${name}`, value)
      ),
    );

  beforeEach(async () => {
    const server = new XenstoreServer();
    for (const domid of [1, 7]) server.introduce(domid);
    store = await StoreClient.connect({
      clock: systemClock,
      connect: async () => connectInProcess(server, 0),
    });
    await write({ state: "2", "hotplug-status": "connected" });
  });
  afterEach(() => store.close());

  // Debian's `block`, when its target is neither a file nor a block device.
  test("but has no device for is waited for, until the daemon tells why", async () => {
    const waiting = awaitDevice(store, disk, "vbd", "hotplug", 10_000);
    waiting.catch(() => {});
    await Promise.race([waiting, Bun.sleep(20)]);
    await write({ "hotplug-error": "is there a disk?", "hotplug-status": "error" });
    await expect(waiting).rejects.toThrow(
      /xvda \(vbd\/7\/51712\): .*cannot set it up .*is there a disk\?/,
    );
  });

  test.each(["error", "busy"])(
    "and then %s is told with the reason that follows",
    async (status) => {
      const waiting = awaitDevice(store, disk, "vbd", "hotplug", 10_000);
      waiting.catch(() => {});
      await write({ "hotplug-status": status });
      await Promise.race([waiting, Bun.sleep(20)]);
      await write({ "hotplug-error": "vbd/8/51712 has it" });
      await expect(waiting).rejects.toThrow(
        new RegExp(`cannot set it up .hotplug-status ${status}.: vbd/8/51712 has it`),
      );
    },
  );

  test("but has no device for is a failure when the time is up", async () => {
    await expect(awaitDevice(store, disk, "vbd", "hotplug", 50))
      .rejects.toThrow(/says that it is set up, but named no device for it within/);
  });

  test("is set up when the device is named", async () => {
    const waiting = awaitDevice(store, disk, "vbd", "hotplug", 10_000);
    await write({ "physical-device": "7:0" });
    await waiting;
  });

  test("of another kind needs none", async () => {
    const other = { ...disk, kind: "vif", devid: 0 };
    await store.write(`${backendPath(other)}/hotplug-status`, "connected");
    await store.write(`${backendPath(other)}/state`, "4");
    await store.write(`${frontendPath(other, "vif")}/state`, "4");
    await awaitDevice(store, other, "vif", "connected", 10_000);
  });
});
