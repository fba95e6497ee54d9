/**
 * Attaches a file natively and detaches it, over and over, until it is killed. What would be in the
 * daemon's journal is in a file.
 *
 * Arguments: the file to attach, the file for the record.
 */
import { renameSync, writeFileSync } from "node:fs";
import { addNative, removeNative } from "../../backends/vbd/native.ts";
import { openBlockDevices } from "../../platform/linux/block_devices.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";

const [params = "", records = ""] = process.argv.slice(2);
const blocks = await openBlockDevices();
const { signal } = new AbortController();
const id = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };

const keep = (undo: unknown) => {
  writeFileSync(`${records}.new`, JSON.stringify(undo));
  renameSync(`${records}.new`, records);
};
console.log("ready");
for (;;) {
  const device = new FakeDevice(new FakeMachine(), id, { params, mode: "w", state: "2" });
  const { recordUndo } = device;
  device.recordUndo = async (more) => {
    keep({ ...device.undo, ...more });
    await recordUndo.call(device, more);
  };
  await addNative(device, blocks, signal);
  await removeNative(device, blocks, signal);
  keep({});
}
