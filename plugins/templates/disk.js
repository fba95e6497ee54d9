// xdevd-plugin: {"name":"my-backend","version":"0.1.0","api":1,"kinds":["my-kind"],"results":["node","physical-device"],"sample":{"backend":{"params":"4","mode":"w"},"needsRoot":true}}
// @ts-check
/**
 * Disks (kind my-kind). Each is an empty file of `params` MiB (`target=64`) behind a loop device, gone
 * when it is detached: put your storage in its place. It imports nothing but xdevd/plugin, so it runs as
 * it is, on any build of xdevd.
 *
 *   xdevd plugin check ./my-backend.js       checks it, as root
 *   xdevd devd -F --plugin ./my-backend.js --kind my-kind=my-backend
 */
import { definePlugin } from "xdevd/plugin";

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
    const tag = crypto.randomUUID();
    await device.recordUndo({ file, tag });
    signal.throwIfAborted();
    await device.system.run(["/usr/bin/truncate", "--size", `${size}M`, file], signal);
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

  async remove(device, signal) {
    // Of the record alone: the nodes, and this module's memory, may be gone by now.
    for (const loop of await loopsOf(device)) {
      await device.system.blocks.detachLoop(loop.node, loop);
    }
    const { file } = device.undo;
    if (typeof file === "string") await device.system.run(["/bin/rm", "-f", file], signal);
  },

  async check(device) {
    if (device.undo["tag"] === undefined || (await loopsOf(device)).length > 0) return null;
    return "its loop device is gone";
  },
});

/**
 * The loop devices that bear our tag: asked anew each time, so that nothing has to be known.
 * @param {import("xdevd/plugin").Device} device
 * @returns {Promise<import("xdevd/plugin").LoopDevice[]>}
 */
async function loopsOf(device) {
  const { tag } = device.undo;
  return typeof tag === "string" ? await device.system.blocks.loops({ tag }) : [];
}
