// xdevd-plugin: {"name":"my-backend","version":"0.1.0","api":1,"kinds":["my-kind"],"results":["node","physical-device"],"sample":{"backend":{"params":"4","mode":"w"},"needsRoot":true}}
/**
 * Disks (kind my-kind). Each is an empty file of `params` MiB (`target=64`) behind a loop device, gone
 * when it is detached: put your storage in its place.
 *
 *   xdevd plugin check ./my-backend.ts       checks it, as root
 *   xdevd devd -F --plugin ./my-backend.ts --kind my-kind=my-backend
 */
import { randomUUID } from "node:crypto";
import { rm, truncate, writeFile } from "node:fs/promises";
import { definePlugin, type Device, type LoopDevice } from "xdevd/plugin";

export default definePlugin({
  // The same as in the first line, which is read before any code runs.
  name: "my-backend",
  version: "0.1.0",
  api: 1,
  kinds: ["my-kind"],
  results: ["node", "physical-device"],

  async add(device, signal) {
    const config = await device.config();
    const size = config.integer("params", { min: 1, max: 1024 });
    const readOnly = config.oneOf("mode", ["r", "w"]) === "r";
    const file = `${await device.directories.state()}/disk`;
    // First the record, then the deed: whenever the daemon dies, it knows what to undo. Nobody else
    // has this tag; the kernel keeps it with the loop device.
    const tag = randomUUID();
    await device.recordUndo({ file, tag });
    signal.throwIfAborted();
    await writeFile(file, "");
    await truncate(file, size * 1024 * 1024);
    const { blocks } = device.system;
    const { path, identity } = await blocks.describe(file);
    const loop = await blocks.attachLoop({ path, expectIdentity: identity, readOnly, tag });
    // The kernel's backend opens the device of this number, and then lets the guest in.
    await device.nodes.write({
      node: loop.node,
      "physical-device": `${loop.major.toString(16)}:${loop.minor.toString(16)}`,
      "hotplug-status": "connected",
    });
  },

  async remove(device) {
    // Of the record alone: the nodes, and this module's memory, may be gone by now.
    for (const loop of await loopsOf(device)) {
      await device.system.blocks.detachLoop(loop.node, loop);
    }
    const { file } = device.undo;
    if (typeof file === "string") await rm(file, { force: true });
  },

  async check(device) {
    if (device.undo["tag"] === undefined || (await loopsOf(device)).length > 0) return null;
    return "its loop device is gone";
  },
});

/** The loop devices that bear our tag: asked anew each time, so that nothing has to be known. */
async function loopsOf(device: Device): Promise<LoopDevice[]> {
  const { tag } = device.undo;
  return typeof tag === "string" ? await device.system.blocks.loops({ tag }) : [];
}
