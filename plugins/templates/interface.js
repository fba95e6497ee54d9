// xdevd-plugin: {"name":"my-backend","version":"0.1.0","api":1,"kinds":["my-kind"],"sample":{"backend":{"bridge":"xenbr0"},"needsRoot":true}}
// @ts-check
/**
 * Network interfaces (kind my-kind). Each becomes a port of the bridge that the node `bridge` names: put
 * your network in its place.
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

  async add(device, signal) {
    const bridge = (await device.config()).text("bridge");
    const { links } = device.system;
    const { name, index } = await waitForLink(device, signal);
    // First the record, then the deed: whenever the daemon dies, it knows what to undo.
    await device.recordUndo({ name, index, bridge });
    // An address that no bridge takes for its own, as Xen's scripts do.
    await links.setMac(name, "fe:ff:ff:ff:ff:ff");
    await links.addToBridge(bridge, name);
    await links.setUp(name);
    await device.nodes.write({ "hotplug-status": "connected" });
  },

  async remove(device) {
    // Of the record alone: the nodes, and this module's memory, may be gone by now.
    const link = await linkOf(device);
    if (link === undefined) return;
    try {
      await device.system.links.setDown(link.name);
      await device.system.links.removeFromBridge(link.name);
    } catch (error) {
      // It may go with its guest at any moment.
      if (await linkOf(device) !== undefined) throw error;
    }
  },

  async check(device) {
    const { bridge } = device.undo;
    const link = await linkOf(device);
    if (link === undefined || link.master === bridge) return null;
    return `${link.name} is no port of ${bridge} any more`;
  },
});

/**
 * The interface that netback makes; some kernels do so a moment after the backend's state 2.
 * @param {import("xdevd/plugin").Device} device
 * @param {AbortSignal} signal
 * @returns {Promise<import("xdevd/plugin").NetworkLink>}
 */
async function waitForLink({ id, system }, signal) {
  const name = `vif${id.frontendDomid}.${id.devid}`;
  for (let tries = 0; tries < 100; tries++) {
    const link = await system.links.read(name);
    if (link !== undefined) return link;
    await system.sleep(20, signal);
  }
  throw new Error(`interface ${name} does not exist: the kernel did not make it within 2 s`);
}

/**
 * The device's interface, if it is still there: it goes with its guest.
 * @param {import("xdevd/plugin").Device} device
 * @returns {Promise<import("xdevd/plugin").NetworkLink | undefined>}
 */
async function linkOf({ undo, system }) {
  const { name, index } = undo;
  const link = typeof name === "string" ? await system.links.read(name) : undefined;
  return link?.index === index ? link : undefined;
}
