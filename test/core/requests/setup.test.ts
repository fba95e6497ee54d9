/** What a driver domain is granted so that it can take requests, and what is left alone. */
import { beforeEach, expect, test } from "bun:test";
import { requestOfPath } from "../../../core/requests/protocol/paths.ts";
import { setUpRequests } from "../../../core/requests/toolstack/setup.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { formatPermission } from "../../../core/xenstore/permissions.ts";
import { systemClock } from "../../../platform/clock.ts";
import { createDomainHome } from "../../../simulation/domains.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";

const DRIVER = 1;
const ROOT = `/local/domain/${DRIVER}/backend`;
let dom0: StoreClient;
let driver: StoreClient;

beforeEach(async () => {
  const server = new XenstoreServer();
  await server.introduce(DRIVER);
  const connect = (domid: number) =>
    StoreClient.connect({
      clock: systemClock,
      connect: async () => connectInProcess(server, domid),
    });
  [dom0, driver] = [await connect(0), await connect(DRIVER)];
  await createDomainHome(dom0, { domid: DRIVER, driverDomain: true });
});

const permissions = async (path: string) =>
  (await dom0.getPermissions(path)).map(formatPermission).join(",");

test("requests can be read, presence and backends written; again changes nothing", async () => {
  await dom0.write(`${ROOT}/vbd/7/51712`, "");
  for (let times = 0; times < 2; times++) {
    await setUpRequests(dom0, DRIVER);
    expect(await permissions("/hotplug")).toBe("n0");
    expect(await permissions("/hotplug/domain")).toBe("n0");
    expect(await permissions(`/hotplug/domain/${DRIVER}`)).toBe("n0,r1");
    expect(await permissions(`/hotplug/domain/${DRIVER}/daemon`)).toBe("n0,b1");
    for (const path of [ROOT, `${ROOT}/vbd`, `${ROOT}/vbd/7`]) {
      expect(await permissions(path)).toBe("n0,b1");
    }
    expect(await dom0.readText(ROOT)).toBe("requests");
  }
  await driver.write(`/hotplug/domain/${DRIVER}/daemon`, "1 boot");
  await driver.write(`${ROOT}/vbd/8/51712/state`, "1");
});

test("what the driver domain has made itself stays its own", async () => {
  await setUpRequests(dom0, DRIVER);
  await driver.write(`${ROOT}/vif/7/0`, "");
  const before = await permissions(`${ROOT}/vif`);
  expect(before).toMatch(/^n1\b/);
  await setUpRequests(dom0, DRIVER);
  expect(await permissions(`${ROOT}/vif`)).toBe(before);
  expect(await permissions(`${ROOT}/vif/7`)).toMatch(/^n1\b/);
});

test("a value that the root of backends has is kept", async () => {
  await dom0.write(ROOT, "somebody's");
  await setUpRequests(dom0, DRIVER);
  expect(await dom0.readText(ROOT)).toBe("somebody's");
});

test("without the domain nothing is made", async () => {
  await expect(setUpRequests(dom0, 9)).rejects.toThrow("there is no domain 9");
  expect(await dom0.exists("/hotplug")).toBe(false);
});

test("what lies below the presence is no request", () => {
  const root = `/hotplug/domain/${DRIVER}`;
  expect(requestOfPath(`${root}/daemon/7/51712`, root, DRIVER)).toBeUndefined();
  expect(requestOfPath(`${root}/vbd/7/51712/state`, root, DRIVER)).toEqual({
    backendDomid: DRIVER,
    kind: "vbd",
    frontendDomid: 7,
    devid: 51712,
  });
});
