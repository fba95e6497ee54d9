/** What the daemon itself writes for a device is written again where the store refuses it for a moment. */
import { describe, expect, test } from "bun:test";
import { DeviceWriter } from "../../../core/daemon/device/device_writer.ts";
import { backendPath } from "../../../core/xen/device_id.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { ServerError } from "../../../core/xenstore/errors.ts";
import { systemClock } from "../../../platform/clock.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const ID = { backendDomid: 0, kind: "vbd", frontendDomid: 7, devid: 51712 };
const DIRECTORY = backendPath(ID);

/** A device whose writer's next transactions fail with these codes. */
async function scene(failures: string[]) {
  const server = new XenstoreServer();
  const store = await StoreClient.connect({
    clock: systemClock,
    connect: async () => connectInProcess(server, 0),
  });
  for (const [name, value] of Object.entries({ state: "2", online: "1", "frontend-id": "7" })) {
    await store.write(`${DIRECTORY}/${name}`, value);
  }
  const transaction: StoreClient["transaction"] = (work, ...more) => {
    const code = failures.shift();
    if (code !== undefined) return Promise.reject(new ServerError(code, "TRANSACTION_END"));
    return store.transaction(work, ...more);
  };
  const failing = new Proxy(store, {
    get(target, name) {
      if (name === "transaction") return transaction;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const clock = new FakeClock();
  let changes = 0;
  const of = { id: ID, frontendKind: "vbd", results: [], attachId: () => null };
  const writer = new DeviceWriter(failing, of, clock, () => changes++);
  const read = (name: string) => store.readOptional(`${DIRECTORY}/${name}`);
  return { writer, clock, store, read, failures, changes: () => changes };
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 20));

describe("what the daemon writes", () => {
  test.each(["EIO", "EAGAIN", "EBUSY", "ENOMEM"])("is written again after %s", async (code) => {
    const { writer, clock, read, store } = await scene([code, code, code]);
    const written = writer.publishError("no luck", {});
    for (const ms of [100, 1_000, 4_000]) {
      await soon();
      expect(await read("hotplug-error")).toBeUndefined();
      await clock.advance(ms);
    }
    await written;
    expect(await read("hotplug-error")).toBe("no luck");
    store.close();
  });

  test("is given up after the fourth time", async () => {
    const { writer, clock, store, failures } = await scene(["EIO", "EIO", "EIO", "EIO", "EIO"]);
    const written = writer.closeBackend(true).then(() => "written", ({ code }) => code);
    for (const ms of [100, 1_000, 4_000]) {
      await soon();
      await clock.advance(ms);
    }
    expect(await written).toBe("EIO");
    expect(failures).toHaveLength(1);
    store.close();
  });

  test.each(["EACCES", "ENOSPC", "EINVAL", "E2BIG"])("is not after %s", async (code) => {
    const { writer, store, failures, changes } = await scene([code, "EIO"]);
    await expect(writer.signalClosing()).rejects.toMatchObject({ code });
    expect([failures.length, changes()]).toEqual([1, 1]);
    store.close();
  });

  test("is its directory, too: deleted at the second try", async () => {
    const { writer, clock, store } = await scene(["EIO"]);
    const deleted = writer.deleteDirectory(null);
    for (let time = 0; time < 5; time++) {
      await soon();
      await clock.advance(100);
    }
    expect(await deleted).toBeNull();
    expect(await store.exists(DIRECTORY)).toBeFalse();
    store.close();
  });
});
