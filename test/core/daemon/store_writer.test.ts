/** What the daemon writes into a directory: nothing, where it has become another device's. */
import { beforeEach, expect, test } from "bun:test";
import { ATTACH_ID_NODE } from "../../../core/daemon/device/attach_id_node.ts";
import {
  cleanse,
  closeBackend,
  publishError,
  publishSuccess,
  requestClose,
} from "../../../core/daemon/device/store_writer.ts";
import { backendPath } from "../../../core/xen/device_id.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { systemClock } from "../../../platform/clock.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";

const ID = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };
const DIRECTORY = backendPath(ID);
let store: StoreClient;

beforeEach(async () => {
  const server = new XenstoreServer();
  store = await StoreClient.connect({
    clock: systemClock,
    connect: async () => connectInProcess(server, 0),
  });
});

async function make(nodes: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(nodes)) {
    await store.write(`${DIRECTORY}/${name}`, value);
  }
}

async function nodes(): Promise<Record<string, string>> {
  const names = await store.listOptional(DIRECTORY);
  const values = await Promise.all(names.map((name) => store.readText(`${DIRECTORY}/${name}`)));
  return Object.fromEntries(names.map((name, at) => [name, values[at]!]));
}

const LEFT = {
  state: "2",
  "physical-device": "7:0",
  "hotplug-status": "connected",
  "hotplug-error": "why",
  [ATTACH_ID_NODE]: "mine",
};

test("what an undone add has left goes, the status is emptied, and the attach id goes with it", async () => {
  await make(LEFT);
  await cleanse(store, ID, ["physical-device", "absent"]);
  expect(await nodes()).toEqual({ state: "2", "hotplug-status": "" });
});

test("the attach id stays if it is to; another one's directory is left alone", async () => {
  await make(LEFT);
  await cleanse(store, ID, ["physical-device"], "another's");
  expect(await nodes()).toEqual(LEFT);
  await cleanse(store, ID, ["physical-device"], "mine");
  expect(await nodes()).toEqual({ state: "2", "hotplug-status": "", [ATTACH_ID_NODE]: "mine" });
});

test("no directory is brought back, and no status made", async () => {
  await cleanse(store, ID, ["physical-device"]);
  await requestClose(store, ID, null);
  expect(await store.exists(DIRECTORY)).toBe(false);
  await make({ state: "2" });
  await cleanse(store, ID, []);
  expect(await nodes()).toEqual({ state: "2" });
});

test("closing is asked for as a toolstack does, of no directory but the one that is meant", async () => {
  await make({ state: "4", online: "1", [ATTACH_ID_NODE]: "mine" });
  await requestClose(store, ID, "another's");
  expect(await nodes()).toMatchObject({ state: "4", online: "1" });
  await requestClose(store, ID, "mine");
  expect(await nodes()).toMatchObject({ state: "5", online: "0" });
  await make({ state: "6", online: "1" });
  await requestClose(store, ID, null);
  expect(await nodes()).toMatchObject({ state: "6", online: "0" });
});

test("an error is said where nothing is, and what a script has said stands", async () => {
  await make({ state: "2", [ATTACH_ID_NODE]: "mine" });
  await publishError(store, ID, "no such pool", "another's");
  expect(await nodes()).toEqual({ state: "2", [ATTACH_ID_NODE]: "mine" });
  await publishError(store, ID, "no such pool", "mine");
  expect(await nodes()).toMatchObject({
    "hotplug-status": "error",
    "hotplug-error": "no such pool",
  });
  await publishError(store, ID, "something else", "mine", { busy: true });
  expect(await nodes()).toMatchObject({
    "hotplug-status": "error",
    "hotplug-error": "no such pool",
  });
  // What failed besides follows, once, in place of what followed before.
  for (const more of ["its removal failed", "its removal failed again"]) {
    await publishError(store, ID, more, "mine", { besides: true });
    expect(await nodes()).toMatchObject({ "hotplug-error": `no such pool; and then: ${more}` });
  }
  await publishError(store, ID, "x".repeat(2_000), "mine", { besides: true });
  expect((await nodes())["hotplug-error"]!.length).toBe(512);
});

test("busy is said as such; what the kernel says follows the reason", async () => {
  await make({ state: "2" });
  await store.write("/local/domain/1/error/backend/vbd/7/51712/error", "22 opening device");
  await publishError(store, ID, "another guest has it", null, { busy: true });
  expect(await nodes()).toMatchObject({
    "hotplug-status": "busy",
    "hotplug-error": "another guest has it; the kernel says: 22 opening device",
  });
});

test("success is said once, and no failure overwritten", async () => {
  await make({ state: "2", [ATTACH_ID_NODE]: "mine" });
  expect(await publishSuccess(store, ID, "another's")).toBeNull();
  expect(await publishSuccess(store, ID, "mine")).toEqual({ status: undefined, error: "" });
  expect((await nodes())["hotplug-status"]).toBe("connected");
  expect(await publishSuccess(store, ID, "mine")).toBeNull();
  await make({ "hotplug-status": "error", "hotplug-error": "why" });
  expect(await publishSuccess(store, ID, "mine")).toEqual({ status: "error", error: "why" });
  expect((await nodes())["hotplug-status"]).toBe("error");
});

test("a backend that was never marked is closed for what it says; the next in its place says nothing yet", async () => {
  const fresh = { state: "2", online: "1", "hotplug-status": "" };
  await make(fresh);
  await closeBackend(store, ID, null, true);
  expect(await nodes()).toEqual(fresh);
  for (const status of ["error", "busy"]) {
    await make({ ...fresh, "hotplug-status": status });
    await closeBackend(store, ID, null, true);
    expect((await nodes())["state"]).toBe("6");
  }
  // One that the toolstack wants gone may say anything; and it is not another one that is wanted.
  await make({ ...fresh, online: "0" });
  await closeBackend(store, ID, null, false);
  expect((await nodes())["state"]).toBe("6");
  await make(fresh);
  await closeBackend(store, ID, null, false);
  expect((await nodes())["state"]).toBe("2");
});
