/** A request's lane, and touches that come while its work ends. */
import { expect, test } from "bun:test";
import { openLog } from "../../../core/log/log.ts";
import { type RequestActions, RequestLane } from "../../../core/requests/driver/lane.ts";
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
