/**
 * Kinds that QEMU serves. Of the device itself QEMU does all: it finds the backend directory,
 * takes it to InitWait, and in the end to Closed. What is left is that there is a QEMU.
 *
 * A disk that a guest has connected cannot be handed from a QEMU that has ended to another one: the
 * new one would read the ring from its beginning (BACK_RING_INIT, hw/block/dataplane/xen-block.c)
 * and do the guest's old requests once more. So such a device is closed, and given to the new QEMU
 * when the guest has let go of it. One that the guest has not connected yet is handed on at once.
 */
import { definePlugin, type Device } from "../../contract/v1/plugin.ts";
import { manifest } from "./manifest.ts";
import { binaryOf, isServed, programOf } from "./program.ts";
import { isConnected, offer, TAKE_MS, taken } from "./states.ts";

export default definePlugin({
  ...manifest,

  async add(device, signal) {
    const { kind, frontendDomid } = device.id;
    if (!isServed(device.settings, kind)) return;
    await mustExist(device);
    await device.deviceModel.start(programOf(device.settings, frontendDomid), signal);
    if (await taken(device, signal)) return;
    throw new Error(`QEMU did not take it within ${TAKE_MS / 1000} s${await lastLine(device)}`);
  },

  async remove(device) {
    await device.deviceModel.release();
  },

  async adopt(device) {
    const { kind, frontendDomid } = device.id;
    if (!isServed(device.settings, kind)) return;
    await device.deviceModel.adopt(programOf(device.settings, frontendDomid));
  },

  async check(device, signal) {
    const { state, detail } = await device.deviceModel.status();
    if (state === "none" || state === "serving") return null;
    const gone = state === "ended"
      ? `the QEMU that serves it is gone: ${detail}`
      : "the QEMU that served it is gone, and another one cannot take it over until the guest " +
        "has closed it";
    // Nobody would close it: the daemon has to.
    if (await device.nodes.read("online") === "0") return gone;
    if (await isConnected(device)) return gone;
    if (state === "ended") {
      // Nothing is lost yet: the next one will take it.
      await device.nodes.write({ "hotplug-error": gone.slice(0, 512) });
      return null;
    }
    await offer(device);
    try {
      await device.deviceModel.start(programOf(device.settings, device.id.frontendDomid), signal);
    } catch (error) {
      device.log.warning((error as Error).message);
      return null;
    }
    if (await taken(device, signal)) {
      device.log.info("given to the QEMU that runs now");
      return null;
    }
    return `QEMU did not take it within ${TAKE_MS / 1000} s${await lastLine(device)}`;
  },
});

async function mustExist(device: Device): Promise<void> {
  const binary = binaryOf(device.settings);
  if (await device.system.exists(binary)) return;
  throw new Error(
    `QEMU ${binary} does not exist: install it (Debian: package qemu-system-xen), or name ` +
      "another one as binary in [plugins.qemu.settings] of the configuration [program-missing]",
  );
}

async function lastLine(device: Device): Promise<string> {
  const { detail } = await device.deviceModel.status();
  return detail === "" ? "" : `: ${detail}`;
}
