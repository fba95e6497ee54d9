/** A device's nodes as its plugin has them, with what was read ahead: which counts no more after any change. */
import { expect, test } from "bun:test";
import { backendNodes } from "../../../core/daemon/capabilities/plugin_nodes.ts";
import { Prefetch } from "../../../core/daemon/device/prefetch.ts";
import { backendPath } from "../../../core/xen/device_id.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { systemClock } from "../../../platform/clock.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const DIRECTORY = backendPath({
  ...{ backendDomid: 1, kind: "vbd", frontendDomid: 7 },
  devid: 51712,
});

async function scene() {
  const server = new XenstoreServer();
  const store = await StoreClient.connect({
    clock: systemClock,
    connect: async () => connectInProcess(server, 0),
  });
  await store.write(`${DIRECTORY}/params`, "/new");
  await store.write(`${DIRECTORY}/mode`, "w");
  const clock = new FakeClock();
  const ahead = { attachId: "t", at: clock.now(), nodes: new Map([["params", "/old"]]) };
  const reads = new Prefetch().open("vbd", clock, ahead);
  return { store, nodes: backendNodes(store, DIRECTORY, null, reads) };
}

test("what was read ahead is told without asking", async () => {
  const { store, nodes } = await scene();
  expect(await nodes.read("params")).toBe("/old");
  store.close();
});

test.each<[string, (nodes: Awaited<ReturnType<typeof scene>>["nodes"]) => Promise<unknown>]>([
  ["something was written", (nodes) => nodes.write({ other: "x" })],
  ["something was removed", (nodes) => nodes.remove("other")],
  ["another node was read", (nodes) => nodes.read("mode")],
])("… until %s", async (_, change) => {
  const { store, nodes } = await scene();
  await change(nodes);
  expect(await nodes.read("params")).toBe("/new");
  store.close();
});
