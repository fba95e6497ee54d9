/** A request's lane, and touches that come while its work ends. */
import { expect, test } from "bun:test";
import { openLog } from "../../../core/log/log.ts";
import { type RequestActions, RequestLane } from "../../../core/requests/driver/lane.ts";
import { requestPath } from "../../../core/requests/protocol/paths.ts";
import { backendPath } from "../../../core/xen/device_id.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { systemClock } from "../../../platform/clock.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";
import { until } from "../../support/daemon_process.ts";
import { FakeClock } from "../../support/fake_clock.ts";

test("no touch gets lost, at whatever instant it comes", async () => {
  for (let instant = 0; instant < 30; instant++) {
    let looks = 0;
    const actions = {
      clock: new FakeClock(),
      store: {
        transaction: () => {
          looks++;
          return Promise.resolve({ seen: { state: null, device: "none", claimed: false } });
        },
      },
    } as unknown as RequestActions;
    const id = { kind: "vbd", backendDomid: 1, frontendDomid: 7, devid: 51712 } as const;
    const lane = new RequestLane(id, actions, openLog(), () => {});
    lane.touch();
    for (let each = 0; each < instant; each++) await Promise.resolve();
    const before = looks;
    lane.touch();
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect([instant, looks > before]).toEqual([instant, true]);
    await lane.stop();
  }
});

test("a request that cannot be served is answered with the reason, and nothing is made for it", async () => {
  const server = new XenstoreServer();
  for (const domid of [1, 7]) await server.introduce(domid);
  const store = await StoreClient.connect({
    clock: systemClock,
    connect: async () => connectInProcess(server, 0),
  });
  const id = { kind: "vbd", backendDomid: 1, frontendDomid: 7, devid: 51712 } as const;
  const path = requestPath(id);
  for (
    const [name, value] of Object.entries({
      token: "a-token-of-its-own",
      online: "1",
      state: "new",
    })
  ) {
    await store.write(`${path}/${name}`, value);
  }
  const actions = {
    clock: new FakeClock(),
    store,
    phaseOf: () => undefined,
    errorOf: () => undefined,
    isRegistered: async () => false,
    serve: () => Promise.reject(new Error("no plugin serves it")),
  } as unknown as RequestActions;
  const lane = new RequestLane(id, actions, openLog(), () => {});
  lane.touch();
  await until(
    async () => await store.readOptional(`${path}/state`) === "error",
    async () => `its state is ${await store.readOptional(`${path}/state`)}`,
  );
  expect(await store.readOptional(`${path}/error`)).toBe("no plugin serves it");
  expect(await store.exists(backendPath(id))).toBeFalse();
  await lane.stop();
  store.close();
});
