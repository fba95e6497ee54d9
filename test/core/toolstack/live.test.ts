/** The toolstack's own steps on a store, where other processes come in between. */
import { CodedError } from "../../../core/messages/error.ts";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { awaitDevice } from "../../../core/toolstack/await_device.ts";
import { createDevice } from "../../../core/toolstack/create.ts";
import { knownDomains, resolveDomain } from "../../../core/toolstack/domains.ts";
import { kindsOf, readDevice, recordNode } from "../../../core/toolstack/list_devices.ts";
import { removeAndPrune, removeDevice } from "../../../core/toolstack/remove.ts";
import { planNic } from "../../../core/toolstack/nodes/nic.ts";
import { parseNic } from "../../../core/toolstack/specs/nic/parse.ts";
import type { CreationPlan } from "../../../core/toolstack/nodes/plan.ts";
import type { StoreClient } from "../../../core/xenstore/client.ts";
import { isServerError, ServerError } from "../../../core/xenstore/errors.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../../support/embedded_store.ts";
import { makeDomain } from "../../support/hand_made.ts";
import { connectTo } from "../../support/store_connection.ts";

const MAC = "00:16:3e:00:00:01";
const BACKEND = "/local/domain/1/backend/vif/7/0";
const FRONTEND = "/local/domain/7/device/vif/0";
const RECORD = "/libxl/7/device/vif/0";

let store: EmbeddedStore;
let dom0: StoreClient;
let driver: StoreClient;
let guest: StoreClient;

beforeEach(async () => {
  store = await startEmbeddedStore([1, 7]);
  [dom0, driver, guest] = await Promise.all(
    [0, 1, 7].map((domid) => connectTo(store.socketPath(domid))) as [
      Promise<StoreClient>,
      Promise<StoreClient>,
      Promise<StoreClient>,
    ],
  );
  for (const domid of [0, 1, 7]) await makeDomain(dom0, domid);
  await dom0.write("/local/domain/7/name", "web");
});

afterEach(async () => {
  for (const client of [dom0, driver, guest]) client.close();
  await store.stop();
});

function plan(frontendDomid = 7): CreationPlan {
  return planNic(parseNic([`mac=${MAC}`]).nic, {
    ...{ frontendDomid, backendDomid: 1, devid: 0, mac: MAC, type: "vif" },
    scriptDirectory: "/etc/xen/scripts",
  });
}

async function faultOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(() => null, (reason: unknown) => reason);
  expect(error).toBeInstanceOf(CodedError);
  return `${(error as CodedError).messageCode}: ${(error as CodedError).message}`;
}

const ID = { backendDomid: 1, kind: "vif", frontendDomid: 7, devid: 0 };
const RECORDED = { frontendDomid: 7, devid: 0, frontendKind: "vif" };
const WAITS = { closeMs: 5_000, directoryMs: 5_000 };

describe("domains", () => {
  test("a text of digits is a domid, leading zeros or not, and never a name", async () => {
    await dom0.write("/local/domain/7/name", "40000");
    expect(await resolveDomain(dom0, "007")).toBe(7);
    expect(await faultOf(resolveDomain(dom0, "40000"))).toBe(
      "no-such-domain: there is no domain 40000",
    );
    expect(await faultOf(resolveDomain(dom0, "9".repeat(500)))).toBe(
      `no-such-domain: there is no domain ${"9".repeat(80)}`,
    );
  });

  test('a domain without a name is not called ""', async () => {
    await dom0.write("/local/domain/7/name", "");
    expect(await faultOf(resolveDomain(dom0, ""))).toStartWith(
      'no-such-domain: there is no domain ""',
    );
  });

  test("a domain that may not see them is told so, not that there are none", async () => {
    for (const text of ["7", "web"]) {
      expect(await faultOf(resolveDomain(driver, text))).toMatch(/^not-permitted: .*domain 0$/);
    }
    for (
      const work of [
        () => knownDomains(driver),
        () => kindsOf(driver, 7),
        () => readDevice(driver, 7, "vif", 0),
      ]
    ) {
      const error = await work().catch((reason: unknown) => reason);
      expect(isServerError(error, "EACCES")).toBeTrue();
    }
  });
});

describe("creating", () => {
  test("nothing is made for a domain that has died meanwhile", async () => {
    for (const domid of [7, 1]) {
      await dom0.remove(`/local/domain/${domid}`);
      expect(await faultOf(createDevice(dom0, plan()))).toBe(
        `no-such-domain: there is no domain ${domid} any more`,
      );
      expect(await dom0.listOptional("/libxl/7/device")).toEqual([]);
      expect(await dom0.exists(`/local/domain/${domid}`)).toBeFalse();
      await makeDomain(dom0, domid);
    }
  });

  test("waited for, while the guest is destroyed", async () => {
    await createDevice(dom0, plan());
    const waiting = awaitDevice(dom0, ID, "vif", "hotplug", 5_000);
    const fault = faultOf(waiting);
    await dom0.transaction(async (t) => {
      await t.remove(FRONTEND);
      await t.write(`${BACKEND}/state`, "6");
    });
    expect(await fault).toMatch(/has closed.*the side of domain web \(7\) is gone/);
  });
});

describe("what a guest says of its device", () => {
  test("nothing of it counts: not where the backend is, nor which address it has", async () => {
    await createDevice(dom0, plan());
    await guest.write(`${FRONTEND}/backend`, "/local/domain/0/backend/vif/7/0");
    await guest.write(`${FRONTEND}/mac`, "00:16:3e:99:99:99");
    const found = await readDevice(dom0, 7, "vif", 0);
    expect(found?.id).toEqual(ID);
    expect(await recordNode(dom0, found!, "mac")).toBe(MAC);
  });
});

describe("removing", () => {
  test("in a transaction that somebody is ahead of: that is the commit's to tell", async () => {
    await dom0.write(`${BACKEND}/state`, "6");
    await dom0.transaction(async (t) => {
      // What xenstored 4.17 says of a node whose parent is gone by now.
      const refusing = new Proxy(t, {
        get(target, name) {
          if (name === "remove") {
            return (path: string) => Promise.reject(new ServerError("EINVAL", "RM", path));
          }
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
      await removeAndPrune(refusing, BACKEND);
    });
  });

  test("one that somebody else has removed, and attached anew, just before the end", async () => {
    await createDevice(dom0, plan());
    await dom0.remove(BACKEND);
    const late = before(dom0, 2, async () => {
      await dom0.remove(RECORD);
      await createDevice(dom0, plan());
    });
    await removeDevice(late, ID, RECORDED, "on", WAITS);
    for (const path of [RECORD, FRONTEND, BACKEND]) expect(await dom0.exists(path)).toBeTrue();
    await dom0.remove(BACKEND);
    await removeDevice(dom0, ID, RECORDED, "off", WAITS);
    for (const path of [RECORD, FRONTEND]) expect(await dom0.exists(path)).toBeFalse();
  });
});

/** A client before whose `count`th transaction something happens. */
function before(client: StoreClient, count: number, happens: () => Promise<void>): StoreClient {
  let left = count;
  return new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "transaction") return value.bind(target);
      return async (...args: unknown[]) => {
        if (--left === 0) await happens();
        return await value.apply(target, args);
      };
    },
  });
}
