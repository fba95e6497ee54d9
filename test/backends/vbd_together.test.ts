/** Disks of one virtual machine, as in a migration to the same host, share for a while and no longer. */
import { afterEach, expect, setSystemTime, test } from "bun:test";
import { TOGETHER_MS } from "../../backends/vbd/together.ts";
import vbd from "../../backends/vbd/plugin.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";

const patient = new AbortController().signal;
const backend = { params: "/images/disk", mode: "w", script: "/s/block" };

afterEach(() => {
  setSystemTime();
});

/** Two guests' disks of one file. @param machines of the two guests */
async function both(machines: readonly [string, string]) {
  const machine = new FakeMachine();
  machine.files.set("/images/disk", "");
  machine.identities.set("/images/disk", "1:17");
  machine.machines.set(7, machines[0]).set(8, machines[1]);
  machine.script = async (action, device) => {
    if (action !== "add") return;
    const number = `7:${device.id.frontendDomid}`;
    await device.nodes.write({ "physical-device": number, "hotplug-status": "connected" });
    machine.files.set(`/sys/dev/block/${number}/loop/backing_file`, "/images/disk");
  };
  const disk = (frontendDomid: number) =>
    new FakeDevice(machine, { backendDomid: 1, kind: "vbd", frontendDomid, devid: 51712 }, {
      ...backend,
    });
  const source = disk(7);
  await vbd.add(source, patient);
  return { machine, source, target: disk(8) };
}

test("both are served, and nothing is said against it when the source's ends in time", async () => {
  const { target, source } = await both(["a", "a"]);
  await vbd.add(target, patient);
  expect(await vbd.check!(target, patient)).toEqual({});
  source.machine.undoRecords.delete("vbd/7/51712");
  expect(await vbd.check!(target, patient)).toEqual({});
  setSystemTime(Date.now() + 10 * TOGETHER_MS);
  expect(await vbd.check!(target, patient)).toEqual({});
});

test.each([
  ["its time is over", TOGETHER_MS + 1],
  ["the clock was set back", -1_000_000],
])("the newcomer is refused when %s, with the reason, and not the other", async (_, ms) => {
  const { target, source } = await both(["a", "a"]);
  await vbd.add(target, patient);
  setSystemTime(Date.now() + ms);
  const refused = expect.stringMatching(/vbd\/7\/51712 of the same virtual machine/);
  expect(await vbd.check!(target, patient)).toEqual({ refused });
  expect(await vbd.check!(source, patient)).toEqual({});
});

test("another virtual machine is refused, and says whom it waits for", async () => {
  const { target } = await both(["a", "b"]);
  const error = await vbd.add(target, patient).catch((error) => error);
  const holders = [{ kind: "vbd", frontendDomid: 7, devid: 51712 }];
  expect(error).toMatchObject({ busy: { holders } });
});
