/** A toolstack that waits for a driver domain looks when something has changed, and not without end. */
import { expect, spyOn, test } from "bun:test";
import { requestPath } from "../../../core/requests/protocol/paths.ts";
import { runRequest } from "../../../core/requests/toolstack/run.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { systemClock } from "../../../platform/clock.ts";
import { createDomain0, createDomainHome } from "../../../simulation/domains.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";

const ID = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 } as const;

test("of a request that nobody takes up, each change costs a look or two", async () => {
  const server = new XenstoreServer();
  for (const domid of [1, 7]) await server.introduce(domid);
  const store = await StoreClient.connect({
    clock: systemClock,
    connect: async () => connectInProcess(server, 0),
  });
  await createDomain0(store);
  for (const domid of [1, 7]) await createDomainHome(store, { domid });
  const path = requestPath(ID);
  await store.write(`${path}/token`, "a-token");
  await store.write(`${path}/online`, "1");
  const looks = spyOn(store, "transaction");
  const abort = new AbortController();
  const waits = { waiting: 60_000, detaching: 60_000, forcing: 60_000 };
  const run = { store, id: ID, waits, signal: abort.signal };
  const running = runRequest(run, "waiting").then(() => "ended", ({ message }) => message);
  const changes = 3;
  for (let change = 0; change < changes; change++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    await store.write(`${path}/params`, String(change));
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  abort.abort(new Error("enough"));
  expect(await running).toBe("enough");
  expect(looks.mock.calls.length).toBeGreaterThanOrEqual(1);
  expect(looks.mock.calls.length).toBeLessThanOrEqual(2 * (changes + 1));
  looks.mockRestore();
  store.close();
});
