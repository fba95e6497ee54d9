/** Network interfaces served by the kernel (netback), set up by the script the backend names. */
import { definePlugin, type Device } from "../../plugins/contract.ts";
import { mayRun } from "../shared/may_run.ts";
import { manifest } from "./manifest.ts";

/** How long netback may take to create the interface after state 2, in ms (qubes-issues 4446). */
const INTERFACE_WAIT_MS = 2_000;

export default definePlugin({
  ...manifest,

  async add(device, signal) {
    const script = await device.nodes.read("script");
    if (!script) throw new Error("the backend names no script (node `script` is missing or empty)");
    await device.scripts.check("network", script);
    await device.recordUndo({ script });
    await waitForInterface(device, signal);
    await device.scripts.run("network", script, "add", signal);
  },

  async adopt(device) {
    const script = await device.nodes.read("script");
    if (script) await device.recordUndo({ script });
  },

  async remove(device, signal) {
    const named = await device.nodes.read("script");
    const script = device.undo["script"]?.toString() ?? named;
    if (!script) return;
    if (device.undo["script"] === undefined && !await mayRun(device, "network", script)) return;
    if (named !== undefined) {
      return await device.scripts.run("network", script, "remove", signal);
    }
    // The interface has gone with its directory, and with it most of what the script did. What else
    // there is (packet filter rules, say) it can undo with a copy of the nodes.
    if (Object.keys(device.copy).length === 0) return;
    try {
      await device.scripts.run("network", script, "remove", signal, device.copy);
    } catch (error) {
      device.log.info(`its script had nothing to undo: ${(error as Error).message}`);
    }
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
