/** Network interfaces served by the kernel (netback), set up by the script the backend names. */
import { definePlugin, type Device } from "../../plugins/contract.ts";

/** How long netback may take to create the interface after state 2, in ms (qubes-issues 4446). */
const INTERFACE_WAIT_MS = 2_000;

export default definePlugin({
  name: "vif",
  version: "0.1.0",
  api: 1,
  kinds: ["vif"],

  async add(device, signal) {
    const script = await device.nodes.read("script");
    if (!script) throw new Error("the backend names no script (node `script` is missing or empty)");
    await device.recordUndo({ script });
    await waitForInterface(device, signal);
    await device.scripts.run("network", script, "add", signal);
  },

  async adopt(device) {
    const script = await device.nodes.read("script");
    if (script) await device.recordUndo({ script });
  },

  async remove(device, signal) {
    const script = device.undo["script"] ?? await device.nodes.read("script");
    // Without its directory the interface is gone too, and with it what the script set up.
    if (!script || await device.nodes.read("script") === undefined) return;
    await device.scripts.run("network", String(script), "remove", signal);
  },
});

/** Some kernels reach state 2 before the interface exists; scripts then fail at once. */
async function waitForInterface(device: Device, signal: AbortSignal): Promise<void> {
  const { frontendDomid, devid } = device.id;
  const path = `/sys/class/net/vif${frontendDomid}.${devid}`;
  for (let waited = 0; waited < INTERFACE_WAIT_MS; waited += 20) {
    if (await device.system.exists(path)) return;
    await device.system.sleep(20, signal);
  }
  device.log.warning(`interface vif${frontendDomid}.${devid} does not exist; trying all the same`);
}
