/** Writing an attach id: never into a directory that is not there, whatever the domain is permitted. */
import { beforeEach, describe, expect, test } from "bun:test";
import { writeAttachId } from "../../../core/daemon/device/attach_ids.ts";
import { ATTACH_ID_NODE } from "../../../core/daemon/device/attach_id_node.ts";
import { backendPath, backendRoot, type DeviceId } from "../../../core/xen/device_id.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { makeDomain } from "../../support/hand_made.ts";

const DRIVER = 1;

let server: XenstoreServer;
let dom0: StoreClient;

beforeEach(async () => {
  server = new XenstoreServer();
  dom0 = await connect(0);
  await dom0.introduceDomain(DRIVER, 1, 1);
  await makeDomain(dom0, DRIVER);
});

function connect(domid: number): Promise<StoreClient> {
  return StoreClient.connect({
    clock: new FakeClock(),
    connect: async () => connectInProcess(server, domid),
  });
}

describe.each([
  ["domain 0", 0, false],
  ["a domain that may make directories", DRIVER, true],
  ["a domain that may not", DRIVER, false],
])("for %s", (_, domid, mayMake) => {
  const id: DeviceId = { backendDomid: domid, kind: "vbd", frontendDomid: 7, devid: 51712 };
  const directory = backendPath(id);
  const mark = `${directory}/${ATTACH_ID_NODE}`;
  let store: StoreClient;

  beforeEach(async () => {
    store = await connect(domid);
    await dom0.makeDirectory(backendRoot(domid));
    if (!mayMake) return;
    await dom0.setPermissions(backendRoot(domid), [{ domid, access: "none" }]);
  });

  async function makeDevice(nodes: Record<string, string>): Promise<void> {
    await dom0.makeDirectory(directory);
    await dom0.setPermissions(directory, [{ domid, access: "none" }]);
    for (const [name, value] of Object.entries(nodes)) {
      await dom0.write(`${directory}/${name}`, value);
    }
  }

  test.each([[[]], [["script", "params"]]])("there is none: %j", async (names) => {
    expect(await writeAttachId(store, id, "mark", names)).toBeNull();
    expect(await dom0.exists(directory)).toBeFalse();
  });

  test("it is marked, and what else is asked for is read", async () => {
    await makeDevice({ script: "block", state: "1" });
    const nodes = await writeAttachId(store, id, "mark", ["script", "params"]);
    expect([...nodes!]).toEqual([["script", "block"], ["params", undefined]]);
    expect(await dom0.readText(mark)).toBe("mark");
  });

  test("one that has a mark already, and not the nodes that are asked for, stays", async () => {
    await makeDevice({ [ATTACH_ID_NODE]: "older", online: "1" });
    for (const names of [[], ["script"]]) {
      expect(await writeAttachId(store, id, "mark", names)).not.toBeNull();
      expect(await dom0.readText(mark)).toBe("mark");
    }
    expect(await dom0.readText(`${directory}/online`)).toBe("1");
  });
});

test("one that may be read and not written is an error, and is not taken for absent", async () => {
  const id: DeviceId = { backendDomid: DRIVER, kind: "vbd", frontendDomid: 7, devid: 51712 };
  const store = await connect(DRIVER);
  await dom0.write(`${backendPath(id)}/state`, "1");
  for (const names of [[], ["state"]]) {
    await expect(writeAttachId(store, id, "mark", names)).rejects.toThrow("EACCES: WRITE");
  }
});

test("nothing stays of what was made above a directory that was brought back", async () => {
  const id: DeviceId = { backendDomid: DRIVER, kind: "vbd", frontendDomid: 7, devid: 51712 };
  await dom0.makeDirectory(backendRoot(DRIVER));
  await dom0.setPermissions(backendRoot(DRIVER), [{ domid: DRIVER, access: "none" }]);
  await writeAttachId(await connect(DRIVER), id, "mark", []);
  expect(await dom0.list(backendRoot(DRIVER))).toEqual([]);
});

test("all that it takes is asked for before the first answer comes", async () => {
  const id: DeviceId = { backendDomid: DRIVER, kind: "vbd", frontendDomid: 7, devid: 51712 };
  await dom0.makeDirectory(backendPath(id));
  await dom0.setPermissions(backendPath(id), [{ domid: DRIVER, access: "none" }]);
  await dom0.write(`${backendPath(id)}/state`, "2");
  const order: string[] = [];
  const store = await StoreClient.connect({
    clock: new FakeClock(),
    connect: async () => {
      const transport = connectInProcess(server, DRIVER);
      const { send, start } = transport;
      transport.send = (message) => {
        order.push("asked");
        send.call(transport, message);
      };
      transport.start = (sink) =>
        start.call(transport, {
          data: (chunk) => {
            order.push("answered");
            sink.data(chunk);
          },
          closed: (error) => sink.closed(error),
        });
      return transport;
    },
  });
  order.length = 0;
  await writeAttachId(store, id, "mark", ["state", "script"]);
  expect(order.lastIndexOf("asked")).toBeLessThan(order.indexOf("answered"));
});
