/** Network interfaces served by the kernel (netback), set up by the script the backend names. */
import { definePlugin, type Device } from "../../plugins/contract.ts";
import { goesNative, likelyNative } from "../shared/way.ts";
import { followBridge } from "./follow.ts";
import { interfaceName, waitForInterface } from "./interface.ts";
import { addNative, isNative, modeOfScript, removeNative, type VifMode } from "./native.ts";
import { completeOutcome } from "./outcome.ts";
import { readSettings } from "./settings.ts";
import { manifest } from "./manifest.ts";

export default definePlugin({
  ...manifest,

  async add(device, signal) {
    // Asked for at once, as far as it is likely to be needed: one round trip.
    const settings = likelyNative(device) ? readSettings(device.nodes) : undefined;
    settings?.catch(() => {});
    const [script, type] = await Promise.all([
      device.nodes.read("script"),
      device.nodes.read("type"),
    ]);
    if (!script) throw new Error("the backend names no script (node `script` is missing or empty)");
    const mode = await wayOf(device, script, type);
    if (mode !== null) {
      const packetFilter = device.settings["packet-filter"] === true;
      try {
        return await addNative(device, device.system.links, mode, signal, {
          packetFilter,
          ...(settings === undefined ? {} : { settings }),
        });
      } catch (error) {
        // Whatever it was: no script is needed to undo it.
        if (!isNative(device)) await device.recordUndo({ native: true });
        throw error;
      }
    }
    await device.scripts.check("network", script);
    await device.recordUndo({ script });
    await awaitInterface(device, signal);
    await device.scripts.run("network", script, "add", signal);
    await completeOutcome(device, script);
  },

  async adopt(device) {
    if (wentNative(device)) return;
    const script = await device.nodes.read("script");
    if (script) await device.recordUndo({ script });
  },

  async check(device) {
    await followBridge(device, device.system.links);
    return null;
  },

  async remove(device, signal) {
    if (wentNative(device)) return await removeNative(device, device.system.links, signal);
    const named = await device.nodes.read("script");
    const script = device.undo["script"]?.toString() ?? named;
    if (!script) return;
    if (named !== undefined) {
      return await device.scripts.run("network", script, "remove", signal);
    }
    // The interface has gone with its directory, and with it most of what the script did. What else
    // there is (packet filter rules, say) it can undo with a copy of the nodes.
    if (Object.keys(device.copy).length === 0) {
      return device.log.warning("its directory is gone, with no copy of it: no script undoes it");
    }
    try {
      await device.scripts.run("network", script, "remove", signal, device.copy);
    } catch (error) {
      device.log.info(`its script had nothing to undo: ${(error as Error).message}`);
    }
  },
});

function wentNative(device: Device): boolean {
  return device.undo["native"] === true || isNative(device);
}

/** How it is set up without a script; null: by the script. */
async function wayOf(
  device: Device,
  script: string,
  type: string | undefined,
): Promise<VifMode | null> {
  const mode = modeOfScript(script);
  if (mode === null || !await goesNative(device, script, () => true)) return null;
  // The emulated twin is the script's.
  return type === "vif_ioemu" ? null : mode;
}

/** Scripts fail at once when there is no interface. */
async function awaitInterface(device: Device, signal: AbortSignal): Promise<void> {
  const name = interfaceName(device.id);
  const exists = () => device.system.exists(`/sys/class/net/${name}`);
  if (await waitForInterface(device, exists, signal)) return;
  device.log.warning(`interface ${name} does not exist; trying all the same`);
}
